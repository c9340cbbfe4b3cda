"""The rows of each group as a Prefect task, which is run again where no account answered for the moment."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, cast

from prefect import task
from prefect.cache_policies import NO_CACHE

from blocks.agent_metrics import RowCount
from blocks.board import Board
from blocks.progress import PUBLISH_EVERY_S, in_thread, progress, repeated
from tasks.batch_prompts.run import BatchRun, NotNow

RETRIES = 10
LONGEST_DELAY_S = 60


def _delays(retries: int) -> list[float]:
    return [float(min(2**turn, LONGEST_DELAY_S)) for turn in range(retries)]


async def _not_now(_task: Any, _run: Any, state: Any) -> bool:
    try:
        await state.result()
    except NotNow:
        return True
    except Exception:  # noqa: BLE001 - any other error stands, and is raised by the task itself
        return False
    return False


@task(
    name="group",
    task_run_name="group-{group}",
    retries=RETRIES,
    retry_delay_seconds=_delays,
    retry_condition_fn=_not_now,
    cache_policy=NO_CACHE,
    persist_result=False,
)
async def group_step(run: BatchRun, group: str, most: int | None) -> None:
    """Do what is missing of a group; done again, it does what is missing then.

    Args:
        run: The batch.
        group: The group.
        most: Only among the first so many rows of it.
    """
    await run.work(group, await in_thread(run.ledger.due, group, most))


async def work_in_groups(run: BatchRun, most: int | None = None) -> None:
    """Do all groups at once; they share the slots, so that none waits for another.

    Raises:
        C500Error: the ledger cannot be written.
    """
    due = {group: len(await in_thread(run.ledger.due, group, most)) for group in run.plan.templates}
    run.tally.due = sum(due.values())
    steps = (group_step(run, group, most) for group, rows in due.items() if rows)
    async with attended(run):
        ended = await asyncio.gather(*steps, return_exceptions=True)
    for error in ended:
        if isinstance(error, NotNow):
            run.halted = run.halted or error
        elif isinstance(error, BaseException):
            raise _first(error)


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = cast("BaseExceptionGroup[BaseException]", error).exceptions[0]
    return error


@asynccontextmanager
async def attended(run: BatchRun) -> AsyncGenerator[None]:
    """Show the progress while the block runs, and see whether any account answers."""
    from prefect.context import FlowRunContext

    board = Board(f"batch-prompts-{run.plan.plan_id}-progress", "how far it is") if FlowRunContext.get() else None
    rows = RowCount("batch_prompts")
    async with progress("batch-prompts") as on_progress:

        async def attend() -> None:
            run.watch()
            await in_thread(rows.tell, run.tally.answered, run.tally.given_up)
            on_progress(run.tally.share)
            if board is not None:
                await board.show([_told(run)])

        async with repeated(attend, PUBLISH_EVERY_S):
            yield


def _told(run: BatchRun) -> dict[str, Any]:
    tally = run.tally
    return {
        "rows": f"{tally.answered:,} of {tally.due:,}",
        "given up": tally.given_up,
        "questions": tally.asked,
        "repairs": tally.repairs,
        "cost": f"${tally.cost_usd:.4f}",
    }
