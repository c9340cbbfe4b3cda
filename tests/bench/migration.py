"""How long writers of a table are kept waiting while the example migrates it, beside one ALTER TABLE.

Four connections write 200 rows a second; what counts is the longest time in which none of them got anything done. The
same writers without a migration are measured beside it: what the machine itself keeps from them is no downtime.
"""

import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.databases import new_database, postgres_server
from tests.tasks.ops.migration.shop import PLAN, checksums, open_shop, psql, writers

NAME = "migration"
UNIT = "ms downtime of writes"
GOAL = 250.0

PER_S = 200
NAIVE = "ALTER TABLE orders ALTER COLUMN id TYPE bigint"


def missing() -> str | None:
    """What is needed and not here."""
    from shutil import which

    return None if which("psql") and which("pg_dump") else "psql"


def measure(quick: bool) -> float:
    """The median downtime of some migrations, in ms."""
    rows, runs = (20_000, 3) if quick else (500_000, 5)
    print(f"{rows} rows, {PER_S} writes a second, {runs} runs of each; longest time without a write, median and worst")
    with postgres_server() as server, tempfile.TemporaryDirectory() as folder:
        ours, naive, nothing = (
            [_downtime(server.url, rows, kind, Path(folder) / f"{number}-{kind.__name__}") for number in range(runs)]
            for kind in (_migrate, _alter, _wait)
        )
    for what, found in (("c500 migrate", ours), ("one ALTER TABLE", naive), ("no migration", nothing)):
        print(f"{what:16} {statistics.median(found):8.1f} ms {max(found):8.1f} ms", flush=True)
    return statistics.median(ours)


def _downtime(server: str, rows: int, kind: Callable[[str, Path], None], folder: Path) -> float:
    dsn = new_database(server)
    open_shop(dsn, rows=rows)
    folder.mkdir()
    with writers(dsn, PER_S) as seen:
        kind(dsn, folder)
    table, mirror = checksums(dsn)
    assert table == mirror and not seen["failed"], seen
    print(f"  {kind.__name__[1:]:8} {_facts(seen)}", flush=True)
    return float(seen["longest_gap_ms"])


def _facts(seen: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in seen.items() if name != "failed")


def _migrate(dsn: str, folder: Path) -> None:
    """In a process of its own, as it is in earnest."""
    import subprocess

    places = {"AUDIO_DIR": "store", "LOG_DIR": "logs", "AGENTS_HOME": "agents"}
    environment = {name: str(folder / place) for name, place in places.items()} | {"SHOP_DSN": dsn}
    root = Path(__file__).parents[2]
    subprocess.run(
        [sys.executable, "-m", "tests.bench.migration"],
        env=os.environ | environment | {"PYTHONPATH": str(root)},
        cwd=folder,
        check=True,
        stdout=subprocess.DEVNULL,
    )


def _alter(dsn: str, _folder: Path) -> None:
    psql(dsn, "-c", NAIVE)


def _wait(_dsn: str, _folder: Path) -> None:
    time.sleep(5)


def main() -> None:
    """Migrate the shop of SHOP_DSN."""
    from deployments.server import use_server

    with use_server():
        from flows.approvals import on_asked
        from flows.migration import migrate
        from tasks.ops.options import OperationsOptions
        from tests.flows.run_migration import agree

        on_asked.set(agree)
        report = asyncio.run(migrate(str(PLAN), options=OperationsOptions(user="ann", profile="staging")))
    assert report.status == "done", report


if __name__ == "__main__":
    main()
