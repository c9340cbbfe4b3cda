"""What `limiter` measures: one process that acquires from one limiter for a while, ours or that of pyrate-limiter."""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from typing import Any

from blocks.limits import open_limiter
from blocks.limits.limit import Reservation
from tests.blocks.limits.worlds import limit, option

WARM_UP_S = 0.3
NEVER_REACHED = 10**9

Acquire = Callable[[], Awaitable[object]]


async def acquire(_: int, limiter: str, url: str, callers: str, seconds: str) -> list[float]:
    """Acquire from so many tasks for so long.

    Returns:
        Acquisitions, CPU seconds of this process, median and 99th percentile of an acquisition in seconds.
    """
    once, close = await LIMITERS[limiter](url)
    await _acquire(once, int(callers), WARM_UP_S)
    cpu_s = time.process_time()
    taken_s = await _acquire(once, int(callers), float(seconds))
    cpu_s = time.process_time() - cpu_s
    await close()
    return [len(taken_s), cpu_s, statistics.median(taken_s), statistics.quantiles(taken_s, n=100)[-1]]


async def _acquire(once: Acquire, callers: int, seconds: float) -> list[float]:
    taken_s: list[float] = []
    until = time.perf_counter() + seconds

    async def call() -> None:
        before = time.perf_counter()
        while before < until:
            await once()
            after = time.perf_counter()
            taken_s.append(after - before)
            before = after
            await asyncio.sleep(0)  # the others' turn, also where nothing else waits

    await asyncio.gather(*(call() for _ in range(callers)))
    return taken_s


async def _ours(url: str) -> tuple[Acquire, Callable[[], Awaitable[Any]]]:
    """Reserve and settle: requests and tokens a minute, calls at once, requests a day."""
    limiter = open_limiter(url)
    call = option(
        "account",
        (limit("account/rpm", NEVER_REACHED), 1),
        (limit("account/tpm", NEVER_REACHED), 1_000),
        (limit("account/calls", NEVER_REACHED, "concurrency"), 1),
        (limit("account/rpd", NEVER_REACHED, "calendar"), 1),
    )

    async def once() -> None:
        reservation = await limiter.reserve([call])
        assert isinstance(reservation, Reservation)
        await limiter.settle(reservation, {"account/tpm": 700})

    return once, limiter.close


def _rates() -> list[Any]:
    """Four limits of pyrate-limiter: all count the same, requests."""
    from pyrate_limiter import Duration, Rate

    minute = int(Duration.MINUTE)
    return [Rate(NEVER_REACHED + number, minute + 60_000 * number) for number in range(4)]


async def _pyrate_memory(_: str) -> tuple[Acquire, Callable[[], Awaitable[Any]]]:
    from pyrate_limiter import InMemoryBucket, Limiter

    limiter = Limiter(InMemoryBucket(_rates()))

    async def close() -> None:
        limiter.close()

    return lambda: _take(limiter), close


async def _pyrate_redis(url: str) -> tuple[Acquire, Callable[[], Awaitable[Any]]]:
    from pyrate_limiter import Limiter, RedisBucket
    from redis.asyncio import Redis

    redis = Redis.from_url(url)
    limiter = Limiter(await RedisBucket.init(_rates(), redis, "account"))

    async def close() -> None:
        limiter.close()
        await redis.aclose()

    return lambda: _take(limiter), close


async def _take(limiter: Any) -> None:
    assert await limiter.try_acquire_async("account", blocking=False)


LIMITERS = {"ours": _ours, "pyrate": _pyrate_memory, "pyrate-redis": _pyrate_redis}
