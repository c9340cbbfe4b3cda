"""A watch that is killed at each of its calls to the system, and gone on with: see `tests.blocks.crashes`."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from blocks.approvals import ApprovalDecision, ApprovalRequest
from blocks.audit.places import open_audit
from blocks.effects import EffectLedger
from blocks.hosts.inventory import ONLY_HERE
from blocks.policy.open import open_operations_policy
from blocks.redact import Redactor
from blocks.store.local import LocalFiles
from blocks.switches import FOLDER, open_switches
from tasks.ops.performer import Performer
from tasks.ops.rollout.watch import Watch, watch
from tests.tasks.ops.rollout.recording import plan, record


def prepare(folder: Path) -> None:
    """A rollout that goes wrong at its second look."""
    record(folder / "metrics.csv", {"errors": [0.0, 0.2, 0.2]})


def act(folder: Path) -> None:
    """Watch it."""
    run(folder)


def run(folder: Path) -> Watch:
    """Watch it, and say how it ended."""
    undo: dict[str, Any] = {"name": "undo", "argv": ["sh", "-c", f"echo undone >> {folder}/undone"]}
    asked = plan(folder / "metrics.csv", rollback=[undo], failures=1)
    return asyncio.run(watch(performer(folder / "home"), LocalFiles(folder / "store"), ONLY_HERE, asked))


def performer(home: Path) -> Performer:
    """On real parts, in a folder."""
    home.mkdir(parents=True, exist_ok=True)

    async def tell(_subject: str, _body: str) -> None:
        return

    async def nobody(request: ApprovalRequest) -> ApprovalDecision:
        return ApprovalDecision(approved=False, arguments=request.arguments, reason="nobody", at=datetime.now(UTC))

    return Performer(
        run_id="run-1",
        flow="watch-rollout",
        user="ann",
        begun_by="ann",
        profile="production",
        attended=False,
        dry_run=False,
        approval_s=60,
        policy=open_operations_policy(),
        effects=EffectLedger(home / "effects"),
        audit=open_audit(home, Redactor()),
        switches=open_switches("", home / FOLDER),
        redactor=Redactor(),
        ask=nobody,
        tell=tell,
    )


def check(folder: Path, killed: bool) -> None:
    """Gone on with, it was rolled back once; or nobody knows, and it is not done again."""
    for _ in range(2):
        ended, undone = run(folder), _undone(folder)
        if ended.status == "in_doubt":
            assert killed and undone <= 1, (ended, undone)
        else:
            assert (ended.status, undone) == ("rolled_back", 1), (ended, undone)


def _undone(folder: Path) -> int:
    found = folder / "undone"
    return len(found.read_text().splitlines()) if found.exists() else 0


CASES = [(prepare, act, check)]
