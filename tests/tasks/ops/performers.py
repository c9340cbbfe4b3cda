"""Performers on real parts, also for processes that are killed: ledger, policy, audit and switches in a folder."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from blocks.approvals import ApprovalDecision, ApprovalRequest
from blocks.audit.places import open_audit
from blocks.effects import EffectLedger
from blocks.policy.open import open_operations_policy
from blocks.redact import default_redactor
from blocks.switches import FOLDER, open_switches
from tasks.ops.performer import Performer


def performer_in(home: Path, **facts: Any) -> Performer:
    """A performer whose parts lie in a folder; whatever is asked is refused unless told otherwise.

    Args:
        home: The folder; made when missing.
        facts: Fields of `Performer` that are otherwise.
    """
    home.mkdir(parents=True, exist_ok=True)
    given: dict[str, Any] = {
        "run_id": "run-1",
        "flow": "test-flow",
        "user": "ann",
        "begun_by": "ann",
        "profile": "staging",
        "attended": True,
        "dry_run": False,
        "approval_s": 60.0,
        "ask_model": True,
        "policy": open_operations_policy(),
        "effects": EffectLedger(home / "effects"),
        "audit": open_audit(home, default_redactor()),
        "switches": open_switches("", home / FOLDER),
        "redactor": default_redactor(),
        "ask": nobody_agrees,
        "tell": to_nobody,
    }
    return Performer(**given | facts)


async def nobody_agrees(request: ApprovalRequest) -> ApprovalDecision:
    """Refuse whatever is asked."""
    return ApprovalDecision(approved=False, arguments=request.arguments, reason="nobody agreed", at=datetime.now(UTC))


async def to_nobody(_subject: str, _body: str) -> None:
    """Tell nobody."""
