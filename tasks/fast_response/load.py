"""Load on a server, in two ways, and what each sees.

In a closed loop a caller sends its next request when it has the answer to its last: a server that is slow is asked less
often, and its queue is never seen. In an open loop requests come when they are due, answered or not, as those of
children do, and each one's time counts from when it was due, not from when it could be sent at last («coordinated
omission» is what leaving that out is called).
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle, islice
from typing import TYPE_CHECKING

from blocks.errors import EngineUnavailable
from blocks.progress import in_thread
from tasks.fast_response.asked import FastOptions, LoadOptions
from tasks.fast_response.call import Call, timed
from tasks.fast_response.client import ClientCost, watched
from tasks.fast_response.prompt import Prepared, prepared
from tasks.fast_response.routes import caller_of, routes_for
from tasks.fast_response.server_metrics import ServerMetrics
from tasks.fast_response.turns import Turn

if TYPE_CHECKING:
    from blocks.accounts.account import Model
    from blocks.accounts.pool import Pool

Ask = Callable[[Prepared, float], Awaitable[Call]]
"""Sends a turn that was due at a moment of the monotonic clock."""


@dataclass
class Loop:
    """What a loop has brought.

    Attributes:
        calls: What became of each request, in the order in which they ended.
        seconds: From its begin to its last answer.
        in_flight: Requests under way now.
        most_in_flight: The most that were under way at once.
        left: Requests under way when the last one was sent, in an open loop.
        sent_late_ms: How late each was sent, in an open loop.
        cost: What our own client cost.
        server: What the servers told of themselves, before and after; None where they tell nothing.
    """

    calls: list[Call] = field(default_factory=list[Call])
    seconds: float = 0.0
    in_flight: int = 0
    most_in_flight: int = 0
    left: int | None = None
    sent_late_ms: list[float] | None = None
    cost: ClientCost | None = None
    server: ServerMetrics | None = None


async def measure(pool: "Pool", turns: Sequence[Turn], load: LoadOptions) -> tuple[Loop | None, Loop | None]:
    """Measure a server.

    Args:
        pool: The accounts.
        turns: What is asked, again from the first where there are fewer than requests.
        load: How.

    Returns:
        The closed loop and the open one, each where it is asked for.

    Raises:
        TooLarge: a turn has no room.
        Unsupported: no account has such a model.
        EngineUnavailable: no request of the warm-up was answered.
    """
    models = [route.model for route in routes_for(pool, load)]
    ready = await in_thread(_prepared, turns, load, models)
    await _warm_up(pool, ready, load)
    closed = opened = None
    if (callers := load.callers) is not None:
        closed = Loop()
        await _watched(pool, load, closed, lambda ask: closed_loop(ask, islice(cycle(ready), load.requests), callers))
    if (rate := load.rate_per_s) is not None:
        opened = Loop()
        dues = arrivals(load.requests, rate, load.seed if load.arrivals == "random" else None)
        pairs = list(zip(cycle(ready), dues, strict=False))
        await _watched(pool, load, opened, lambda ask: open_loop(ask, pairs, opened))
    return closed, opened


def _prepared(turns: Sequence[Turn], load: LoadOptions, models: "Sequence[Model]") -> list[Prepared]:
    """All turns, ready to be sent: a tokenizer takes milliseconds of each."""
    return [prepared(turn, load, models) for turn in turns]


async def closed_loop(ask: Ask, ready: Iterator[Prepared], callers: int) -> None:
    """Callers that each send the next turn when they have the answer to their last."""

    async def work() -> None:
        for one in ready:
            await ask(one, time.monotonic())

    async with asyncio.TaskGroup() as group:
        for _ in range(callers):
            group.create_task(work())


async def open_loop(ask: Ask, pairs: Sequence[tuple[Prepared, float]], loop: Loop) -> None:
    """Send each turn when it is due, in seconds from now, however many are still without an answer.

    Each moment counts from the beginning: a timer that is late once does not put off all that follow.
    """
    start, loop.sent_late_ms = time.monotonic(), []
    async with asyncio.TaskGroup() as group:
        for one, after_s in pairs:
            due = start + after_s
            if (left_s := due - time.monotonic()) > 0:
                await asyncio.sleep(left_s)
            loop.sent_late_ms.append(1000 * (time.monotonic() - due))
            group.create_task(_asked(ask, one, due))
        loop.left = loop.in_flight


def arrivals(count: int, rate_per_s: float, seed: int | None) -> list[float]:
    """When requests are due, in seconds from the beginning: evenly, or with a seed as a Poisson process."""
    if seed is None:
        return [number / rate_per_s for number in range(count)]
    chance = random.Random(seed)  # noqa: S311 - no secret depends on it
    moments = [0.0]
    while len(moments) < count:
        moments.append(moments[-1] + chance.expovariate(rate_per_s))
    return moments


async def _warm_up(pool: "Pool", ready: Sequence[Prepared], load: LoadOptions) -> None:
    """Requests that are not counted: connections are made, and the server has compiled what it compiles."""
    loop = Loop()
    await closed_loop(_asker(pool, load, loop), islice(cycle(ready), load.warmup), load.max_num_seqs)
    if loop.calls and all(call.error for call in loop.calls):
        raise EngineUnavailable(
            f"none of {load.warmup} requests was answered to warm the server up: {loop.calls[0].message}",
            fix="see that the server runs, and that `c500 accounts check` reaches it",
        )


async def _asked(ask: Ask, one: Prepared, due: float) -> None:
    await ask(one, due)


async def _watched(pool: "Pool", load: LoadOptions, loop: Loop, run: Callable[[Ask], Awaitable[None]]) -> None:
    """Run a loop, with what it costs us and what the servers say of it."""
    server = ServerMetrics.of(routes_for(pool, load)) if load.server_metrics else None
    if server is not None:
        await server.before()
    async with watched() as watch:
        start = time.monotonic()
        await run(_asker(pool, load, loop))
        loop.seconds = time.monotonic() - start
    loop.cost = watch.cost(loop.calls, loop.sent_late_ms)
    if server is not None:
        await server.after()
        loop.server = server


def _asker(pool: "Pool", asked: FastOptions, loop: Loop) -> Ask:
    caller, began = caller_of(asked), time.monotonic()

    async def ask(one: Prepared, due: float) -> Call:
        loop.in_flight += 1
        loop.most_in_flight = max(loop.most_in_flight, loop.in_flight)
        try:
            turn = one.turn
            call = await timed(pool, one.request, caller, turn=turn.id, intent=turn.intent, due=due, began=began)
        finally:
            loop.in_flight -= 1
        loop.calls.append(call)
        return call

    return ask
