"""`python -m tests.tasks.ops.cleanup.run_cleanup ROOT RUN_ID [TRASH_DAYS]`: cleans a tree; to be killed."""

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path

from blocks.approvals import ApprovalDecision, ApprovalRequest
from blocks.audit.places import open_audit
from blocks.effects import EffectLedger
from blocks.policy.open import open_operations_policy
from blocks.redact import default_redactor
from blocks.settings import settings
from blocks.store import open_store
from blocks.switches import FOLDER, open_switches
from tasks.ops.cleanup.clock import Clock
from tasks.ops.cleanup.tree import Cleanup
from tasks.ops.performer import Performer
from tests.tasks.ops.cleanup.conftest import logs_tree


async def main(root: Path, run_id: str, trash_days: float) -> None:
    """Clean, and print what became of it."""
    home = settings().agents_home
    home.mkdir(parents=True, exist_ok=True)

    async def nobody(request: ApprovalRequest) -> ApprovalDecision:
        return ApprovalDecision(approved=False, arguments=request.arguments, reason="nobody", at=datetime.now(UTC))

    async def tell(subject: str, body: str) -> None:
        return None

    performer = Performer(
        run_id=run_id,
        flow="clean-logs",
        user="ann",
        begun_by="ann",
        profile="production",
        attended=False,
        dry_run=False,
        approval_s=1,
        policy=open_operations_policy(),
        effects=EffectLedger(home / "effects"),
        audit=open_audit(home, default_redactor()),
        switches=open_switches("", home / FOLDER),
        redactor=default_redactor(),
        ask=nobody,
        tell=tell,
    )
    part = await Cleanup(performer, open_store(), Clock()).clean(logs_tree(root, trash_days=trash_days))
    sys.stdout.write(part.model_dump_json())


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])))
