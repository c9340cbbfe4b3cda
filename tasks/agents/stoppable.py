"""Ending what runs when a stop is set."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

from blocks.switches import Switch, Switches, watch
from tasks.agents.guarded import GuardedRun


@asynccontextmanager
async def stoppable(
    switches: Switches, run: GuardedRun, error_of: Callable[[Switch], Awaitable[Exception]]
) -> AsyncGenerator[None]:
    """Cancel what runs within when a switch stops the run.

    What comes to its end all the same, before the cancellation reaches it, is done; the next look finds the switch.

    Args:
        switches: Where stops are set.
        run: What may be stopped.
        error_of: Gives the error that is raised then.
    """
    watching = asyncio.create_task(watch(switches, run.agent, run.run_id, parents=run.parents))
    ending = asyncio.timeout(None)  # it knows its own cancellation from those of others
    within = True

    def end(_: asyncio.Task[Switch]) -> None:
        if within:  # else the block ended in the same moment
            ending.reschedule(asyncio.get_running_loop().time())

    try:
        async with ending:
            watching.add_done_callback(end)
            try:
                yield
            finally:
                within = False
    except Exception as error:
        if ending.expired():
            raise await error_of(watching.result()) from error
        raise
    finally:
        watching.cancel()
