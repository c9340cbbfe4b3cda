"""The rows of a swarm in shards: each a Prefect task of many calls, since a task a call costs 5 to 7 ms of CPU."""

import asyncio
from itertools import pairwise

from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.swarm.run import SwarmRun

SHARD_S = 10.0
"""A shard takes about so long: short enough to be seen moving, long enough that its task costs below 0.1 %."""

FEWEST_ROWS, MOST_ROWS = 100, 5_000
MOST_SHARDS = 200
"""Task runs that a server of Prefect takes without falling behind (5,000 overflow its queue, measured)."""


def shard_rows(due: int, rate_per_s: float, concurrency: int, wanted: int | None = None) -> int:
    """Rows of a shard.

    Args:
        due: Rows to do.
        rate_per_s: Rows a second that limits and latency allow.
        concurrency: Calls in flight.
        wanted: What was asked for; what would make too many shards is not heeded.
    """
    least = -(-due // MOST_SHARDS)
    chosen = wanted or min(max(int(rate_per_s * SHARD_S), FEWEST_ROWS, concurrency), MOST_ROWS)
    return max(1, least, chosen)


def spans_of(rows: int, parts: int) -> list[tuple[int, int]]:
    """The rows 1 to `rows` in so many spans of nearly the same length: first and last row of each."""
    edges = [rows * part // parts for part in range(parts + 1)]
    return [(before + 1, last) for before, last in pairwise(edges) if last > before]


async def work_in_shards(run: SwarmRun, rows: int) -> None:
    """Do all rows; a shard begins as soon as the one before has its last row in flight.

    Args:
        run: The swarm.
        rows: Rows of a shard.

    Raises:
        C500Error: the output cannot be written.
    """
    try:
        async with asyncio.TaskGroup() as shards:
            while not run.is_fed and not run.is_halted:
                fed = asyncio.Event()
                shards.create_task(shard_step(run, rows, fed))
                await fed.wait()
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from None
    run.settle()


@task(name="shard", cache_policy=NO_CACHE, persist_result=False)
async def shard_step(run: SwarmRun, rows: int, fed: asyncio.Event) -> int:
    """Do the next rows; see `SwarmRun.work`."""
    return await run.work(rows, fed)
