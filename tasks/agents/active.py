"""How long a run was at work, kept while it is, so that its limit of time holds over all its attempts."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import structlog

from blocks.errors import StoreFailed
from blocks.model import Frozen
from tasks.agents.guarded import GuardedRun
from tasks.agents.kept import Kept

ACTIVE = "active"
KEEP_EVERY_S = 5.0
"""So much of its time at work a run may forget when it is killed."""

log = structlog.stdlib.get_logger("c500")


class Active(Frozen):
    """How long a run was at work.

    Attributes:
        active_s: Seconds over all attempts, without waiting for people.
    """

    active_s: float


def active_before(kept: Kept) -> float:
    """Seconds at work in attempts before this one. Raises `StoreFailed`."""
    found = kept.find(Active, ACTIVE)
    return found.active_s if found else 0.0


@asynccontextmanager
async def keeping_time(run: GuardedRun, kept: Kept, every_s: float = KEEP_EVERY_S) -> AsyncGenerator[None]:
    """Keep the run's time at work until the block ends: also while a model or a tool takes long.

    Args:
        run: The run.
        kept: Where it is kept.
        every_s: Seconds between two times that it is.
    """

    async def keep_on() -> None:
        while True:
            await asyncio.sleep(every_s)
            _keep(run, kept)

    keeping = asyncio.create_task(keep_on())
    try:
        yield
    finally:
        keeping.cancel()
        _keep(run, kept)


def _keep(run: GuardedRun, kept: Kept) -> None:
    try:
        kept.put(ACTIVE, Active(active_s=run.active_s), sync=False)
    except StoreFailed as error:  # the next time may do; what must be on the disk says so by itself
        log.warning("time_at_work_not_kept", run_id=run.run_id, error=error.message)
