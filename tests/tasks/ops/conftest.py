"""A performer on real parts: ledger, policy, audit and switches in a folder of the test."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from blocks.approvals import ApprovalDecision, ApprovalRequest
from blocks.audit.places import open_audit
from blocks.effects import EffectLedger
from blocks.policy.open import open_operations_policy
from blocks.redact import default_redactor
from blocks.settings import settings
from blocks.switches import FOLDER, open_switches
from tasks.ops.performer import Performer

MakePerformer = Callable[..., Performer]


@pytest.fixture
def told() -> list[tuple[str, str]]:
    """Messages to the operators."""
    return []


@pytest.fixture
def make_performer(told: list[tuple[str, str]]) -> MakePerformer:
    """Make performers, as `make_performer(dry_run=True)`; whatever is asked is refused unless told otherwise."""

    async def tell(subject: str, body: str) -> None:
        told.append((subject, body))

    async def nobody(request: ApprovalRequest) -> ApprovalDecision:
        return ApprovalDecision(
            approved=False, arguments=request.arguments, reason="nobody agreed", at=datetime.now(UTC)
        )

    def make(**facts: Any) -> Performer:
        home = settings().agents_home
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
            "policy": open_operations_policy(),
            "effects": EffectLedger(home / "effects"),
            "audit": open_audit(home, default_redactor()),
            "switches": open_switches("", home / FOLDER),
            "redactor": default_redactor(),
            "ask": nobody,
            "tell": tell,
        }
        return Performer(**given | facts)

    return make
