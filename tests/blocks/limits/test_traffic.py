"""Processes call as fast as the limiter lets them, and an observer that keeps an exact log sees no quota passed.

Some of them are killed while they call, and Redis is killed and started again.
"""

import asyncio
import os
import signal
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path

import pytest

from tests.blocks.limits.crowd import crowd, lines
from tests.blocks.limits.traffic import Observer, call_all_the_time, quotas
from tests.databases import DatabaseServer, redis_server
from tests.processes import eventually


@dataclass(frozen=True)
class Size:
    """How much is called.

    Attributes:
        processes, tasks: Who calls: so many tasks in each process.
        seconds: How long.
        scale: How large the quotas are.
        window_s, lease_s: How long windows and leases are.
    """

    processes: int
    tasks: int
    seconds: float
    scale: int
    window_s: float
    lease_s: float


SMALL = Size(processes=4, tasks=20, seconds=6, scale=2, window_s=2, lease_s=2)
FULL = Size(processes=16, tasks=50, seconds=60, scale=25, window_s=10, lease_s=8)


@contextmanager
def books(backend: str, folder: Path) -> Generator[tuple[str, DatabaseServer | None]]:
    """Empty books, and the server they are on."""
    if backend == "sqlite":
        yield f"sqlite:///{folder}/limits.db", None
    else:
        with redis_server(keeps_all=backend == "redis-persistent") as server:
            yield server.url, server


@asynccontextmanager
async def calling(url: str, size: Size) -> AsyncGenerator[tuple[Observer, list[int]]]:
    """An observer, and the processes that call it until time is up."""
    observer = Observer(quotas(size.scale, size.window_s))
    server = await asyncio.start_server(observer.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    processes, tasks, *rest = astuple(size)
    with crowd(processes, call_all_the_time, url, port, tasks, *rest) as process:
        [pids] = await asyncio.to_thread(lines, process, 1)
        yield observer, pids
        await asyncio.to_thread(process.wait)
    server.close()


async def play(backend: str, size: Size, folder: Path) -> None:
    """Call; after a while kill a process, and Redis if there is one."""
    with books(backend, folder) as (url, server):
        async with calling(url, size) as (observer, pids):
            some = sum(quota.requests for quota in observer.quotas.values())
            await eventually(lambda: observer.total.total() > some, size.seconds + 30)
            os.kill(pids[0], signal.SIGKILL)
            if server is not None:
                server.kill()
                server.start()
            before = observer.total.total()
    assert observer.passed == []
    assert observer.total.total() > before + some / 20, "they went on after that"
    assert observer.total.keys() == observer.quotas.keys()


@pytest.mark.parametrize("backend", ["sqlite", "redis", "redis-persistent"])
async def test_no_quota_is_passed(backend: str, tmp_path: Path) -> None:
    await play(backend, SMALL, tmp_path)


@pytest.mark.soak
@pytest.mark.parametrize("backend", ["sqlite", "redis", "redis-persistent"])
async def test_no_quota_is_passed_for_a_minute(backend: str, tmp_path: Path) -> None:
    await play(backend, FULL, tmp_path)
