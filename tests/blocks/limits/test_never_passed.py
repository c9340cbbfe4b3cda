"""Whatever is asked in whatever order: no window is ever passed, none is left unused, all limiters answer alike."""

import asyncio
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from blocks.limits.limit import Limit, Option, Refusal, Reservation
from blocks.limits.memory import MemoryLimiter
from blocks.limits.protocol import Limiter
from tests.blocks.limits.oracle import Call, Oracle
from tests.blocks.limits.worlds import BACKENDS, Clock, limit, new_limiters, option

EVERYONE = limit("everyone", 8, window_s=7)
LIMITS = {
    name: [
        EVERYONE,
        limit(f"{name}/requests", requests, window_s=10),
        limit(f"{name}/tokens", 100, window_s=4),
        limit(f"{name}/calls", 2, "concurrency"),
        limit(f"{name}/hour", 700, "calendar", period="hour"),
    ]
    for name, requests in (("a", 3), ("b", 6), ("c", 4))
}

reserve = st.tuples(
    st.just("reserve"),
    st.lists(st.sampled_from("abc"), min_size=1, max_size=3, unique=True),
    st.integers(1, 60),
    st.sampled_from([2.0, 9.0, 60.0]),
    st.booleans(),
)
settle = st.tuples(st.just("settle"), st.integers(0, 9), st.sampled_from([0.0, 0.5, 1.0, 1.0]))
release = st.tuples(st.just("release"), st.integers(0, 9))
extend = st.tuples(st.just("extend"), st.integers(0, 9), st.sampled_from([2.0, 20.0]))
pause = st.tuples(st.just("wait"), st.floats(0, 3).map(lambda seconds: round(seconds, 3)))
long = st.tuples(st.just("wait"), st.sampled_from([4.0, 10.0, 61.0, 1200.0]))
steps = st.sampled_from([*[reserve] * 6, *[settle] * 5, release, extend, *[pause] * 4, long]).flatmap(lambda step: step)
"""So that about every third call is refused."""


@pytest.mark.parametrize("backend", BACKENDS)
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=st.lists(steps, min_size=60, max_size=80))
def test_no_window_is_ever_passed(backend: str, steps: list[Any], tmp_path: Path, redis_url: str) -> None:
    asyncio.run(_play(backend, steps, tmp_path, redis_url))


@pytest.mark.soak
@pytest.mark.parametrize("backend", BACKENDS)
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=st.lists(steps, min_size=100, max_size=200))
def test_no_window_is_ever_passed_at_length(backend: str, steps: list[Any], tmp_path: Path, redis_url: str) -> None:
    asyncio.run(_play(backend, steps, tmp_path, redis_url))


async def _play(backend: str, steps: list[Any], folder: Path, redis_url: str) -> None:
    clock = Clock()
    clock.tick(2000.0)  # the hour ends within the longer plays
    game = Game(new_limiters(backend, clock, folder, redis_url), MemoryLimiter(clock, clock), clock)
    try:
        for what, *how in steps:
            await getattr(game, what)(*how)
            await game.compare()
    finally:
        for limiter in game.limiters:
            await limiter.close()


class Game:
    """Plays the same to two limiters with common books, by turns, and to one in memory, with the log beside them."""

    def __init__(self, limiters: tuple[Limiter, Limiter], twin: Limiter, clock: Clock) -> None:
        self.limiters, self.twin, self.clock = limiters, twin, clock
        self.turns = cycle(limiters)
        self.oracle = Oracle()
        self.reservations: list[tuple[Reservation, Reservation, Call]] = []

    @property
    def limiter(self) -> Limiter:
        return next(self.turns)

    async def reserve(self, names: list[str], tokens: int, lease_s: float, in_order: bool) -> None:
        options = [_option(name, tokens) for name in names]
        ours = await self.limiter.reserve(options, lease_s=lease_s, in_order=in_order)
        twins = await self.twin.reserve(options, lease_s=lease_s, in_order=in_order)
        if isinstance(ours, Refusal) or isinstance(twins, Refusal):
            assert isinstance(ours, Refusal)
            assert isinstance(twins, Refusal)
            assert (ours.keys, ours.wait_s) == (twins.keys, pytest.approx(twins.wait_s, abs=1e-6))
            self.oracle.check_refused(options, self.clock.now)
            return
        assert ours.option == twins.option
        call = Call(ours.option, self.clock.now, self.clock.now + lease_s)
        self.oracle.calls.append(call)
        self.oracle.check_granted(ours.option, self.clock.now)
        self.reservations.append((ours, twins, call))

    async def settle(self, number: int, share: float) -> None:
        if taken := self._take(number):
            ours, twins, call = taken
            charges = {charge.limit.key: charge.amount for charge in call.option.charges}
            call.used = {key: int(amount * share) if amount > 1 else amount for key, amount in charges.items()}
            call.settled_at = self.clock.now
            await self.limiter.settle(ours, call.used)
            await self.twin.settle(twins, call.used)

    async def release(self, number: int) -> None:
        if taken := self._take(number):
            ours, twins, call = taken
            call.released = call.lease_end > self.clock.now
            await self.limiter.release(ours)
            await self.twin.release(twins)

    async def extend(self, number: int, lease_s: float) -> None:
        if taken := self._take(number):
            self.reservations.append(taken)
            ours, twins, call = taken
            if call.lease_end > self.clock.now:
                call.lease_end = max(call.lease_end, self.clock.now + lease_s)
            await self.limiter.extend(ours, lease_s)
            await self.twin.extend(twins, lease_s)

    async def wait(self, seconds: float) -> None:
        self.clock.tick(seconds)

    async def compare(self) -> None:
        limits: list[Limit] = [one for limits in LIMITS.values() for one in limits]
        assert await self.limiter.standing(limits) == await self.twin.standing(limits)

    def _take(self, number: int) -> tuple[Reservation, Reservation, Call] | None:
        return self.reservations.pop(number % len(self.reservations)) if self.reservations else None


def _option(name: str, tokens: int) -> Option:
    everyone, requests, per_window, calls, hour = LIMITS[name]
    return option(name, (everyone, 1), (requests, 1), (per_window, tokens), (calls, 1), (hour, tokens))
