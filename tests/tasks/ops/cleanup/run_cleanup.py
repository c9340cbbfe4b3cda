"""`python -m tests.tasks.ops.cleanup.run_cleanup ROOT RUN_ID [TRASH_DAYS]`: cleans a tree; to be killed."""

import asyncio
import sys
from pathlib import Path

from blocks.settings import settings
from blocks.store import open_store
from tasks.ops.cleanup.clock import Clock
from tasks.ops.cleanup.tree import Cleanup
from tests.tasks.ops.cleanup.conftest import logs_tree
from tests.tasks.ops.performers import performer_in


async def main(root: Path, run_id: str, trash_days: float) -> None:
    """Clean, and print what became of it."""
    facts = {"run_id": run_id, "flow": "clean-logs", "profile": "production", "attended": False}
    performer = performer_in(settings().agents_home, **facts)
    part = await Cleanup(performer, open_store(), Clock()).clean(logs_tree(root, trash_days=trash_days))
    sys.stdout.write(part.model_dump_json())


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])))
