"""What happens once a second beside a swarm at work: the disk gets what was written, and people see how far it is."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from blocks.agent_metrics import RowCount
from blocks.board import Board
from blocks.errors import StoreFailed
from blocks.progress import PUBLISH_EVERY_S, progress, repeated
from tasks.swarm.report import progress_table
from tasks.swarm.run import SwarmRun
from tasks.swarm.tally import watcher


@asynccontextmanager
async def attended(run: SwarmRun) -> AsyncGenerator[None]:
    """Sync the output and show the progress while the block runs, and once more at its end."""
    board, rows = _board(run), RowCount("swarm")
    async with progress("swarm") as on_progress:

        async def attend() -> None:
            try:
                await asyncio.to_thread(run.ledger.sync)
            except StoreFailed as error:
                run.halt(error)
            run.watch()
            if run.job.part is None:  # the rows of a part are counted by the run that it is a part of
                await asyncio.to_thread(rows.tell, run.tally.answered, run.tally.failed)
            on_progress(run.tally.share)
            if watch := watcher.get():
                watch(run.tally)
            if board is not None:
                await board.show(progress_table(run))

        async with repeated(attend, PUBLISH_EVERY_S):
            yield


def _board(run: SwarmRun) -> Board | None:
    """The table that is kept up to date; None outside of a run."""
    from prefect.context import FlowRunContext

    if FlowRunContext.get() is None:
        return None
    return Board(f"swarm-{run.job.swarm_id}-progress", "how far the swarm is")
