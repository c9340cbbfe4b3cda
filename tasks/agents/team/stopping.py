"""A stop of the team reaches all its agents: their runs are stopped as it is, and only for as long."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any, TypeVar

import structlog

from blocks.errors import C500Error
from blocks.progress import in_thread
from blocks.switches import Switch, Switches, watch
from tasks.agents.guarded import AgentStopped
from tasks.agents.team.team_work import TeamWork

T = TypeVar("T")

log = structlog.stdlib.get_logger("c500")


async def unless_stopped(switches: Switches, agent: str, run_id: str, do: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """The outcome of what a coordinator does; it is cut off when a switch stops the run.

    Raises:
        AgentStopped: it was stopped, or had been before; then it does not begin.
    """
    if (found := await switches.stopped(agent, run_id)) is not None:
        raise AgentStopped.by(found)
    doing, watching = asyncio.create_task(do()), asyncio.create_task(watch(switches, agent, run_id))
    try:
        await asyncio.wait((doing, watching), return_when=asyncio.FIRST_COMPLETED)
        if not doing.done():
            raise AgentStopped.by(watching.result())
        return await doing
    finally:
        for one in (doing, watching):
            one.cancel()
        await asyncio.gather(doing, watching, return_exceptions=True)


@asynccontextmanager
async def stoppable(work: TeamWork, switches: Switches) -> AsyncGenerator[None]:
    """Watch the switches until the block ends: when the team is stopped, stop its agents and begin nothing more.

    A stop that is set already counts before the block begins.

    The agents' guards know their own runs only, so a switch is set for each that is at work; they are cleared when the
    block ends, and what a killed process left of them when it begins.

    Args:
        work: The team.
        switches: Where stops are set.

    Raises:
        StoreFailed: the switches cannot be read.
    """
    await in_thread(_clear, work, switches)
    if (found := await switches.stopped(work.coordinator, work.begun.run_id)) is not None:
        work.stopped = AgentStopped.by(found)
    watching = asyncio.create_task(_watch(work, switches))
    try:
        yield
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
        if work.stopped is not None:
            await in_thread(_clear, work, switches)


async def _watch(work: TeamWork, switches: Switches) -> None:
    found = await watch(switches, work.coordinator, work.begun.run_id)
    work.stopped = AgentStopped.by(found)
    running = [task for task in work.plan.tasks if work.states.get(task.id) == "running"]
    for task in running:
        reason = f"its team was stopped: {found.reason}" if found.reason else "its team was stopped"
        switch = Switch(scope="run", name=work.run_of(task), by=_by(work), at=datetime.now(UTC), reason=reason)
        try:
            await in_thread(switches.set, switch)
        except C500Error as error:  # switches that cannot be written cannot be read: the guards stop by themselves
            log.warning("a run of a stopped team was not stopped by a switch", run_id=switch.name, error=error.message)


def _clear(work: TeamWork, switches: Switches) -> None:
    """Take the team's own switches away."""
    for switch in switches.list():
        if switch.scope == "run" and switch.by == _by(work):
            switches.clear("run", switch.name)


def _by(work: TeamWork) -> str:
    return f"team {work.begun.run_id}"
