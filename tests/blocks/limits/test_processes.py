"""Several processes, some of them killed, on the same books."""

import asyncio
import os
import signal
from collections.abc import Generator
from pathlib import Path

import pytest

from blocks.limits import open_limiter
from tests.blocks.limits.crowd import HELD, ask_once, crowd, hold, lines
from tests.blocks.limits.worlds import option, refused
from tests.databases import redis_server


@pytest.fixture(params=["sqlite", "redis"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[str]:
    """Empty books that processes share."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/limits.db"
    else:
        with redis_server() as server:
            yield server.url


def test_of_twenty_processes_exactly_two_pass_a_budget_of_two(url: str) -> None:
    with crowd(20, ask_once, url) as asking:
        pids, *answers = lines(asking, 21)
    assert len(set(pids)) == 20
    assert sorted(answers) == [False] * 18 + [True] * 2


async def test_what_a_killed_process_held_counts_as_used_after_its_lease(url: str) -> None:
    with crowd(1, hold, url, 1.5) as holder:
        [pid], granted = lines(holder, 2)
        os.kill(pid, signal.SIGKILL)
    assert granted
    limiter = open_limiter(url)
    standings = await limiter.standing([HELD])
    assert (standings[0].settled, standings[0].held) == (0, 1)
    async with asyncio.timeout(30):
        while standings[-1].held:
            await refused(limiter, option("call", (HELD, 1)))
            standings += await limiter.standing([HELD])
    assert (standings[-1].settled, standings[-1].held) == (1, 0)
    wait_s = (await refused(limiter, option("call", (HELD, 1)))).wait_s
    assert wait_s is not None
    assert wait_s > 30
    await limiter.close()
