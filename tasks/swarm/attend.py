"""What happens once a second beside a swarm at work: the disk gets what was written, and people see how far it is."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Any
from uuid import UUID

from blocks.errors import StoreFailed
from blocks.progress import PUBLISH_EVERY_S, PUBLISH_TIMEOUT_S, OnProgress, only_informing, progress
from tasks.swarm.report import progress_table
from tasks.swarm.run import SwarmRun
from tasks.swarm.tally import watcher


@asynccontextmanager
async def attended(run: SwarmRun) -> AsyncGenerator[None]:
    """Sync the output and show the progress while the block runs, and once more at its end."""
    async with progress("swarm") as on_progress:
        table = await _table(run)
        ended = asyncio.Event()
        ticking = asyncio.create_task(_each_second(run, ended, on_progress, table))
        try:
            yield
        finally:
            # Not cancelled: the server might see an update that was cut off after the last one.
            ended.set()
            await ticking
            await _show(run, on_progress, table)


async def _each_second(run: SwarmRun, ended: asyncio.Event, on_progress: OnProgress, table: UUID | None) -> None:
    while not ended.is_set():
        try:
            await asyncio.to_thread(run.ledger.sync)
        except StoreFailed as error:
            run.halt(error)
        await _show(run, on_progress, table)
        with suppress(TimeoutError):
            async with asyncio.timeout(PUBLISH_EVERY_S):
                await ended.wait()


async def _show(run: SwarmRun, on_progress: OnProgress, table: UUID | None) -> None:
    on_progress(run.tally.share)
    if watch := watcher.get():
        watch(run.tally)
    if table is not None:
        await _update(table, run)


async def _table(run: SwarmRun) -> UUID | None:
    """The table artifact that is kept up to date; None outside of a run, or when the server is away."""
    from prefect.artifacts import acreate_table_artifact
    from prefect.context import FlowRunContext

    if FlowRunContext.get() is None:
        return None
    async with only_informing(within_s=PUBLISH_TIMEOUT_S):
        made: Any = await acreate_table_artifact(
            key=f"swarm-{run.job.swarm_id}-progress", table=progress_table(run), description="how far the swarm is"
        )
        return made
    return None


async def _update(table: UUID, run: SwarmRun) -> None:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import ArtifactUpdate

    async with only_informing(within_s=PUBLISH_TIMEOUT_S), get_client() as client:
        await client.update_artifact(table, ArtifactUpdate(data=json.dumps(progress_table(run))))
