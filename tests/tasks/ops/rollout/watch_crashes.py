"""A watch that is killed at each of its calls to the system, and gone on with: see `tests.blocks.crashes`."""

import asyncio
from pathlib import Path
from typing import Any

from blocks.hosts.inventory import ONLY_HERE
from blocks.redact import Redactor
from blocks.store.local import LocalFiles
from tasks.ops.rollout.watch import Watch, watch
from tests.tasks.ops.performers import performer_in
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
    facts = {"flow": "watch-rollout", "profile": "production", "attended": False, "redactor": Redactor()}
    performer = performer_in(folder / "home", **facts)
    asked = plan(folder / "metrics.csv", rollback=[undo], failures=1)
    return asyncio.run(watch(performer, LocalFiles(folder / "store"), ONLY_HERE, asked))


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
