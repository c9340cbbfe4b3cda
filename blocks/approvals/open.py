"""The approvals of this machine's settings: sealed with the key of AGENTS_HOME, every answer in the audit log."""

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from blocks.approvals.approvals import Approvals
from blocks.approvals.request import ApprovalRequest
from blocks.approvals.voting import Answer
from blocks.settings import settings
from blocks.store import open_store

if TYPE_CHECKING:
    from blocks.audit import AuditLog
    from blocks.store.files import Files


def open_approvals(files: "Files | None" = None) -> Approvals:
    """The approvals in a store; by default that of the settings.

    Args:
        files: The store.

    Raises:
        StoreFailed, NotAllowed: the key cannot be used.
    """
    return Approvals(files or open_store(), seal_key(), form_up_to=settings().prefect_form_up_to, attempted=_write_down)


def seal_key() -> bytes:
    """The key of the seals: in AGENTS_HOME, apart from the store. Raises `StoreFailed`, `NotAllowed`."""
    from blocks.audit import open_key

    return open_key(settings().agents_home.expanduser() / "approvals.key")


def audit_of_answers() -> "AuditLog":
    """Where answers are written down: the audit log of AGENTS_HOME. Raises `StoreFailed`, `NotAllowed`."""
    return _audit(settings().agents_home.expanduser())


def _write_down(request: ApprovalRequest, answer: Answer, outcome: str) -> None:
    """Write an answer into the audit log, whether it counts or not."""
    from blocks.audit import Entry

    audit_of_answers().append(
        Entry(
            entry_id=f"{request.run_id}/{request.call_id}/vote/{uuid4().hex}",
            run_id=request.run_id,
            call_id=request.call_id,
            agent=request.agent,
            user=request.requester,
            phase="answered",
            tool=request.tool,
            arguments_hash=request.arguments_hash,
            risk=request.risk,
            policy_version=request.policy_version,
            reasoning=answer.reason or None,
            approvers=(answer.by,) if outcome == "counted" and answer.verdict == "approve" else (),
            after=answer.arguments,
            outcome=outcome,
            details={
                "approval_id": request.approval_id,
                "by": answer.by,
                "verdict": answer.verdict,
                "channel": answer.channel,
                "seen": answer.arguments_hash,
            },
        )
    )


@lru_cache(maxsize=4)
def _audit(home: Path) -> "AuditLog":
    from blocks.audit.places import open_audit

    return open_audit(home)
