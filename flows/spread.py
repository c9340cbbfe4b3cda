"""A swarm spread over the workers of a pool: a run of the deployment `swarm-shard` for each part of the rows."""

import asyncio
from contextlib import suppress
from typing import Any

import structlog
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
    FlowRunFilterTags,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.deployments.flow_runs import arun_deployment
from prefect.exceptions import ObjectNotFound

from blocks.errors import (
    BudgetExceeded,
    C500Error,
    Conflict,
    EngineFailed,
    EngineUnavailable,
    LimitReached,
    Stopped,
    TimedOut,
)
from blocks.runs import cancel_run, read_run
from blocks.runs.queue import all_runs
from blocks.runs.record import FINISHED
from blocks.settings import settings
from tasks.swarm.growing import count_parts
from tasks.swarm.job import SwarmJob
from tasks.swarm.ledger import collect_parts
from tasks.swarm.run import GRACE_S, SwarmRun
from tasks.swarm.shards import spans_of

SHARD = "swarm-shard/swarm-shard"
POLL_S = 1.0

END_S = 120.0
"""A shard that was cancelled ends within this: its worker looks every ten seconds, and its process may take thirty."""

ERRORS: dict[str, type[C500Error]] = {
    kind.code: kind for kind in (BudgetExceeded, Conflict, LimitReached, EngineUnavailable, TimedOut)
}
"""Ends of a shard that are told as what they are; the others are failures of it."""

log = structlog.stdlib.get_logger("c500")


async def work_in_workers(run: SwarmRun) -> None:
    """Have all rows done by workers, which must see the same files as this process, and take over what they did.

    A shard whose process dies is run again, up to MAX_CRASH_RETRIES times. One that has not ended a minute after the
    deadline, perhaps since no worker was free to begin it, is cancelled. When this is cancelled, so are the shards, and
    the next run takes over what they did.

    Raises:
        EngineUnavailable: there is no deployment `swarm-shard`.
        Conflict: a shard that was cancelled still writes.
    """
    job, spans = run.job, spans_of(run.survey.rows, run.job.workers)
    counting = asyncio.create_task(count_parts(job, len(spans), run.tally))
    try:
        async with get_client() as client, asyncio.TaskGroup() as parts:
            for part, span in enumerate(spans):
                parts.create_task(_work_part(client, run, job.model_copy(update={"part": part}), span))
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from None
    finally:
        await _stop_counting(counting)
    await end_shards(job)
    collect_parts(job, run.ledger)


async def end_shards(job: SwarmJob) -> None:
    """Cancel the shards of a swarm, as a run whose process died left them, and wait until they have ended.

    What does not end within two minutes, since its worker is gone too, is left: a lock shows whether it still writes.
    """
    async with get_client() as client:
        for shard in await _unfinished(client, job):
            with suppress(C500Error):  # it ended meanwhile
                await cancel_run(client, shard.id)
        with suppress(TimeoutError):
            async with asyncio.timeout(END_S):
                while await _unfinished(client, job):  # noqa: ASYNC110 - other processes cannot set an event
                    await asyncio.sleep(POLL_S)


def tag_of(job: SwarmJob) -> str:
    """What the runs of all shards of a swarm are found by."""
    return f"swarm-{job.swarm_id}"


async def _unfinished(client: PrefectClient, job: SwarmJob) -> list[FlowRun]:
    going = [state for state in StateType if state not in (*FINISHED, StateType.CRASHED)]
    wanted = FlowRunFilter(
        tags=FlowRunFilterTags(all_=[tag_of(job)]),
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=going)),
    )
    return [run async for run in all_runs(client, wanted)]


async def _work_part(client: PrefectClient, run: SwarmRun, part: SwarmJob, span: tuple[int, int]) -> None:
    """Have one part done; what ends it early ends the swarm, once the other parts have seen it too."""
    limit = asyncio.timeout(None if part.deadline_s is None else part.deadline_s + GRACE_S)
    try:
        async with limit:
            ended = await _run_shard(client, run, part, span)
            for _ in range(settings().max_crash_retries):
                if ended.state_type == StateType.CRASHED:
                    ended = await _run_shard(client, run, part, span)
    except TimeoutError:
        if not limit.expired():
            raise
        run.halt(TimedOut("the deadline has passed", fix="run it again with more time, or with more workers"))
        return
    if ended.state_type == StateType.CANCELLED:
        run.halt(Stopped("a shard was cancelled", fix="run it again to go on"))
    elif ended.state_type != StateType.COMPLETED:
        told = (await read_run(client, ended.id)).error
        kind = ERRORS.get(told.code, EngineFailed) if told else EngineFailed
        message = told.message if told else "the process of a shard died too often"
        run.halt(kind(message, fix=told.fix if told else "see the log of its flow run"))


async def _run_shard(client: PrefectClient, run: SwarmRun, part: SwarmJob, span: tuple[int, int]) -> FlowRun:
    """A run of the deployment, as it ended; one that nobody waits for any more is cancelled."""
    first, last = span
    job = part.after(run.tally.elapsed_s).model_dump(mode="json")
    try:
        shard: Any = await arun_deployment(
            SHARD,
            client,
            {"job": job, "first": first, "last": last},
            timeout=0,
            flow_run_name=f"rows {first} to {last}",
            tags=[tag_of(part)],
        )
    except ObjectNotFound as error:
        raise EngineUnavailable(f"there is no deployment {SHARD}", fix="run `c500 up`") from error
    is_final = False
    try:
        while not is_final:
            await asyncio.sleep(POLL_S)
            shard = await client.read_flow_run(shard.id)
            is_final = shard.state is not None and shard.state.is_final()
    finally:
        if not is_final:
            with suppress(C500Error):
                await asyncio.shield(cancel_run(client, shard.id))
    return shard


async def _stop_counting(counting: "asyncio.Task[None]") -> None:
    """End the count; should it have failed, the swarm has not."""
    counting.cancel()
    await asyncio.wait({counting})
    if not counting.cancelled() and (error := counting.exception()) is not None:
        log.warning("the progress of the shards was not counted", error=str(error), kind=type(error).__name__)
