"""Tasks in the order that the plan allows: each as soon as it may, not all in the same moment."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable, Sequence
from graphlib import TopologicalSorter

from tasks.agents.team.plan import TeamTask

Perform = Callable[[TeamTask, int], Awaitable[None]]
"""Does a task; the number says how many others began in the same moment before it."""


async def in_order(tasks: Sequence[TeamTask], perform: Perform, at_once: int) -> None:
    """Perform every task once all that it depends on have ended, side by side, the higher priority first.

    Tasks that change the same things are never in hand together. When one raises, the others are cancelled.

    Args:
        tasks: The tasks, without circles.
        perform: Does one; that something it depends on failed is its own business.
        at_once: The most in hand.
    """
    known = {task.id: task for task in tasks}
    sorter = TopologicalSorter({task.id: task.depends_on for task in tasks})
    sorter.prepare()
    ready: list[TeamTask] = []
    running: dict[asyncio.Future[None], TeamTask] = {}
    try:
        while sorter.is_active():
            ready = _by_priority([*ready, *(known[name] for name in sorter.get_ready())], tasks)
            for place, task in enumerate(_may_begin(ready, running.values(), at_once)):
                ready.remove(task)
                running[asyncio.ensure_future(perform(task, place))] = task
            ended, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for one in ended:
                sorter.done(running.pop(one).id)
                one.result()
    finally:
        for one in running:
            one.cancel()
        await asyncio.gather(*running, return_exceptions=True)


def _by_priority(ready: Iterable[TeamTask], tasks: Sequence[TeamTask]) -> list[TeamTask]:
    return sorted(ready, key=lambda task: (-task.priority, tasks.index(task)))


def _may_begin(ready: Iterable[TeamTask], running: Iterable[TeamTask], at_once: int) -> list[TeamTask]:
    """Those that begin now: as many as there is room for, and none that changes what another one is changing."""
    in_hand, begun = list(running), list[TeamTask]()
    for task in ready:
        if len(in_hand) < at_once and not any(_collide(task, other) for other in in_hand):
            in_hand.append(task)
            begun.append(task)
    return begun


def _collide(one: TeamTask, other: TeamTask) -> bool:
    return any(_overlap(_parts(left), _parts(right)) for left in one.writes for right in other.writes)


def _parts(resource: str) -> list[str]:
    return [part for part in resource.casefold().split("/") if part not in ("", ".")]


def _overlap(one: Sequence[str], other: Sequence[str]) -> bool:
    """Whether one is the other, or a folder above it; the root is above all."""
    shared = min(len(one), len(other))
    return one[:shared] == other[:shared]


def delay_s(place: int, base_s: float, seed: str) -> float:
    """How long a task waits before it begins, in seconds, so that a team does not call its accounts in one burst.

    Args:
        place: How many others begin in the same moment before it.
        base_s: Between two of them.
        seed: Of the chance that is added, up to `base_s`; the same seed gives the same delay.
    """
    return place * base_s + random.Random(seed).uniform(0, base_s)  # noqa: S311 - no secret hangs on it
