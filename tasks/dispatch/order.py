"""Sub-tasks in the order that their dependencies allow: each begins as soon as what it needs has ended."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from graphlib import TopologicalSorter
from heapq import heappop, heappush

from tasks.dispatch.plan import SubTask


async def in_order(tasks: Sequence[SubTask], perform: Callable[[SubTask], Awaitable[None]], at_once: int) -> None:
    """Perform every sub-task once all sub-tasks it depends on have ended, side by side, the higher priority first.

    Dependencies that are not among the sub-tasks count as ended. When one raises, the others are cancelled.

    Args:
        tasks: The sub-tasks, without circles.
        perform: Does one; that something it depends on failed is its own business.
        at_once: The most in hand.
    """
    places = {task.id: place for place, task in enumerate(tasks)}
    sorter = TopologicalSorter({task.id: [one for one in task.depends_on if one in places] for task in tasks})
    sorter.prepare()
    ready: list[tuple[int, int]] = []
    running: dict[asyncio.Future[None], str] = {}
    try:
        while sorter.is_active():
            for task_id in sorter.get_ready():
                heappush(ready, (-tasks[places[task_id]].priority, places[task_id]))
            while ready and len(running) < at_once:
                task = tasks[heappop(ready)[1]]
                running[asyncio.ensure_future(perform(task))] = task.id
            ended, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for one in ended:
                sorter.done(running.pop(one))
                one.result()
    finally:
        for one in running:
            one.cancel()
        await asyncio.gather(*running, return_exceptions=True)
