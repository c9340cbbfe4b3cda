"""Requests as the tests make them."""

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

from blocks.action import hash_of
from blocks.approvals import ApprovalRequest, Approvals
from blocks.store import Files, LocalFiles

KEY = b"k" * 32
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
LATER = NOW + timedelta(hours=2)
"""After the time of a request."""

DELETES: dict[str, Any] = {"path": "/var/log/app.log", "keep_days": 7}


def request(**facts: Any) -> ApprovalRequest:
    """A request of ann's for one person, for an hour, unless said otherwise."""
    whole: dict[str, Any] = {
        "run_id": "0123456789abcdef",
        "call_id": "call_1",
        "agent": "operator",
        "requester": "ann",
        "tool": "delete_file",
        "arguments": DELETES,
        "risk": "medium",
        "persons": 1,
        "reason": "it deletes",
        "policy_version": "v1",
        "asked_at": NOW,
        "expires_at": NOW + timedelta(hours=1),
    } | facts
    hashed = whole.setdefault("arguments_hash", hash_of(whole["tool"], whole["arguments"]))
    named = sha256(f"{whole['run_id']}/{whole['call_id']}/{hashed}".encode()).hexdigest()[:16]
    return ApprovalRequest(**({"approval_id": named} | whole))


def approvals(files: Files | Path, **options: Any) -> Approvals:
    """The approvals of a store."""
    return Approvals(LocalFiles(files) if isinstance(files, Path) else files, KEY, **options)


def asked(approvals: Approvals, **facts: Any) -> str:
    """The id of a request that was asked."""
    return approvals.ask(request(**facts)).request.approval_id


def vote(approvals: Approvals, approval_id: str, by: str, verdict: Any = "approve", **facts: Any) -> Any:
    """An answer by the command line, a minute after the question unless said otherwise."""
    whole: dict[str, Any] = {"channel": "cli", "now": NOW + timedelta(minutes=1)} | facts
    return approvals.vote(approval_id, by=by, verdict=verdict, **whole)
