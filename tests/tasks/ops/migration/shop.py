"""The shop of the example: its table, writers that never stop, and whether they lost anything.

Run as a program it is the writers: `python -m tests.tasks.ops.migration.shop DSN WRITES_PER_S`; ends when its input
does, and prints what they saw as JSON.
"""

import asyncio
import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

DEMO = Path(__file__).parents[4] / "deployments" / "demo" / "migration"
PLAN = DEMO / "orders.yaml"
CONNECTIONS = 4

MIRROR = """
CREATE SCHEMA mirror;
CREATE TABLE mirror.orders AS SELECT id::bigint, reference, customer, amount_cents FROM orders;
CREATE UNIQUE INDEX ON mirror.orders (reference);
"""
"""What must be in the table: each writer writes here in the same transaction."""


def psql(dsn: str, *arguments: str) -> str:
    """What psql prints."""
    done = subprocess.run(["psql", dsn, "-XqtA", "-v", "ON_ERROR_STOP=1", *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def open_shop(dsn: str, *, rows: int = 20_000) -> None:
    """Make the table, and its mirror."""
    script = (DEMO / "prepare.sql").read_text().replace("20000", str(rows))
    psql(dsn, "-c", script)
    psql(dsn, "-c", MIRROR)


def schema(dsn: str) -> str:
    """All of the schema `public`, as `pg_dump` tells it."""
    done = subprocess.run(
        ["pg_dump", "--schema-only", "--schema=public", dsn], capture_output=True, text=True, check=True
    )
    # pg_dump of later minor versions writes a random word around what it dumps.
    lines = [line for line in done.stdout.splitlines() if not line.startswith(("\\restrict", "\\unrestrict", "--"))]
    return "\n".join(lines)


def checksums(dsn: str) -> tuple[str, str]:
    """Of table and mirror: rows, and a hash over all of their columns in order."""
    columns = "id::bigint, reference, customer, amount_cents"
    asked = "SELECT count(*) || ' ' || md5(string_agg(r::text, ';' ORDER BY r::text)) FROM (SELECT {} FROM {}) AS r"
    return psql(dsn, "-c", asked.format(columns, "orders")), psql(dsn, "-c", asked.format(columns, "mirror.orders"))


@contextmanager
def writers(dsn: str, per_s: int = 200) -> Iterator[dict[str, Any]]:
    """Writers at work during the block; afterwards the dictionary holds what they saw: `writes`, `longest_ms`, …"""
    seen: dict[str, Any] = {}
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.tasks.ops.migration.shop", dsn, str(per_s)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[4],
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    try:
        yield seen
    finally:
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    seen.update(json.loads(said))


async def write(dsn: str, per_s: int) -> dict[str, Any]:
    """Write at a steady pace until the input ends.

    `longest_gap_ms` is the longest time in which no writer got anything done: it counts all that keeps them, also what
    the machine has not to give.
    """
    import asyncpg

    # As behind a pooler: a prepared statement would be refused once when the column's type changes.
    pool: Any = await asyncpg.create_pool(dsn, min_size=CONNECTIONS, max_size=CONNECTIONS, statement_cache_size=0)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), ended.set)
    waits: list[float] = []
    done: list[float] = []
    failed: list[str] = []
    begun = time.monotonic()
    print("begun", flush=True)

    async def one(worker: int, number: int) -> None:
        due = begun + (number * CONNECTIONS + worker) / per_s
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        began = time.monotonic()
        try:
            async with pool.acquire() as connection, connection.transaction():
                await _write(connection, random.Random(f"{worker}/{number}"), f"new-{worker}-{number}")
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            failed.append(f"{type(error).__name__}: {error}")
        else:
            done.append(time.monotonic())
            waits.append(done[-1] - began)

    async def work(worker: int) -> None:
        number = 0
        while not ended.is_set():
            await one(worker, number)
            number += 1

    await asyncio.gather(*(work(worker) for worker in range(CONNECTIONS)))
    took_s = time.monotonic() - begun
    await pool.close()
    gaps = [after - before for before, after in pairwise([begun, *sorted(done)])]
    waits.sort()
    return {
        "writes": len(waits),
        "failed": failed[:5],
        "per_s": round(len(waits) / took_s, 1),
        "longest_gap_ms": round(max(gaps) * 1000, 1),
        "longest_ms": round(waits[-1] * 1000, 1),
        "p50_ms": round(waits[len(waits) // 2] * 1000, 1),
        "p99_ms": round(waits[len(waits) * 99 // 100] * 1000, 1),
    }


async def _write(connection: Any, chance: random.Random, reference: str) -> None:
    """An order is made, changed or struck out: in the table and, in the same transaction, in the mirror."""
    amount, old = chance.randrange(10_000), f"old-{chance.randrange(1, 20_000)}"
    kind = chance.random()
    if kind < 0.5:
        values = (reference, f"customer-{amount % 500}", amount)
        number = await connection.fetchval(
            "INSERT INTO orders (reference, customer, amount_cents) VALUES ($1, $2, $3) RETURNING id", *values
        )
        await connection.execute("INSERT INTO mirror.orders VALUES ($1, $2, $3, $4)", number, *values)
    elif kind < 0.9:
        change = "SET amount_cents = $2{} WHERE reference = $1"
        await connection.execute(f"UPDATE orders {change.format(', changed_at = now()')}", old, amount)
        await connection.execute(f"UPDATE mirror.orders {change.format('')}", old, amount)
    else:
        await connection.execute("DELETE FROM orders WHERE reference = $1", old)
        await connection.execute("DELETE FROM mirror.orders WHERE reference = $1", old)


if __name__ == "__main__":
    print(json.dumps(asyncio.run(write(sys.argv[1], int(sys.argv[2])))))
