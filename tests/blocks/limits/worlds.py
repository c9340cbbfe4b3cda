"""Limiters with a clock that a test moves, and words to talk to them."""

from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

from blocks.limits.limit import Charge, Kind, Limit, Option, Period, Refusal, Reservation
from blocks.limits.memory import MemoryLimiter
from blocks.limits.protocol import Limiter
from blocks.limits.redis import RedisLimiter
from blocks.limits.sqlite import SqliteLimiter

BACKENDS = ("memory", "sqlite", "redis")
NOON = 1_795_262_400.0
"""2026-11-21 12:00 UTC; whole minutes and hours begin here."""
SOON_S = 1e-5
"""A wait is rounded."""


class Clock:
    """Stands still until it is moved."""

    def __init__(self, now: float = NOON) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def tick(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds


def new_limiters(backend: str, clock: Callable[[], float], folder: Path, redis_url: str) -> tuple[Limiter, Limiter]:
    """Two limiters with the same empty books, as two processes have them; in memory, the same limiter."""
    if backend == "memory":
        memory = MemoryLimiter(clock, clock)
        return memory, memory
    if backend == "sqlite":
        path = folder / f"{uuid4().hex}.db"
        return SqliteLimiter(path, clock=clock, wall=clock), SqliteLimiter(path, clock=clock, wall=clock)
    prefix = new_prefix()
    return RedisLimiter(redis_url, prefix=prefix, clock=clock), RedisLimiter(redis_url, prefix=prefix, clock=clock)


def new_prefix() -> str:
    """A part of a Redis server that nobody else uses."""
    return f"{{{uuid4().hex}}}:"


def limit(
    key: str,
    amount: int,
    kind: Kind = "rate",
    *,
    window_s: float = 60.0,
    period: Period = "day",
    utc_offset_s: int = 0,
) -> Limit:
    """A limit, in one line."""
    return Limit(key=key, amount=amount, kind=kind, window_s=window_s, period=period, utc_offset_s=utc_offset_s)


def option(name: str, *charges: tuple[Limit, int]) -> Option:
    """An option, in one line."""
    return Option(name=name, charges=tuple(Charge(limit=one, amount=amount) for one, amount in charges))


async def granted(limiter: Limiter, *options: Option, lease_s: float = 120.0, in_order: bool = False) -> Reservation:
    """Reserve what must be free."""
    answer = await limiter.reserve(options, lease_s=lease_s, in_order=in_order)
    assert isinstance(answer, Reservation), answer
    return answer


async def refused(limiter: Limiter, *options: Option) -> Refusal:
    """Ask for what must not be free."""
    answer = await limiter.reserve(options)
    assert isinstance(answer, Refusal), answer
    return answer


async def used_up(limiter: Limiter, of: Limit, amount: int) -> None:
    """Use so much at once."""
    await limiter.settle(await granted(limiter, option("used", (of, amount))))
