"""What only the limiter in memory has to stand: it never starts anew."""

import pytest

from blocks.limits import memory
from blocks.limits.memory import MemoryLimiter
from tests.blocks.limits.worlds import Clock, granted, limit, option, refused, used_up


async def test_windows_that_nobody_needs_are_forgotten(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "SWEEP_FROM", 10)
    limiter = MemoryLimiter(clock, clock)
    budget = limit("budget", 1, "calendar", period="ever")
    await used_up(limiter, budget, 1)
    held = await granted(limiter, option("call", (limit("held", 1, window_s=5), 1)), lease_s=100_000)
    await limiter.block("blocked", 100_000)
    for number in range(1000):
        await used_up(limiter, limit(f"session{number}", 1, window_s=5), 1)
        clock.tick(1)
    assert len(limiter._windows) < 300  # pyright: ignore[reportPrivateUsage]
    await refused(limiter, option("call", (budget, 1)))
    await refused(limiter, option("call", (limit("blocked", 1), 1)))
    await refused(limiter, option("call", (limit("held", 1, window_s=5), 1)))
    await limiter.release(held)
    await granted(limiter, option("call", (limit("held", 1, window_s=5), 1)))
