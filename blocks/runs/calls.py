"""Read and cancel jobs through Prefect's API."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from functools import partial
from itertools import chain
from typing import TypeVar
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    ArtifactFilterKey,
    ArtifactFilterType,
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterIdempotencyKey,
)
from prefect.client.schemas.objects import Artifact, FlowRun, StateType, TaskRun
from prefect.client.schemas.responses import SetStateStatus
from prefect.client.schemas.sorting import ArtifactSort, TaskRunSort
from prefect.exceptions import ObjectNotFound
from prefect.states import Cancelled, Cancelling

from blocks.errors import Conflict, NotFound, TimedOut
from blocks.runs.queue import PAGE
from blocks.runs.record import FINISHED, IN_HAND, JobRun, job_run
from blocks.steps import STORE_LOCKS

ATTEMPTS = 2
"""How often a run is cancelled whose state changes meanwhile."""

DECIDING_S = 60.0

ASKED_TOGETHER = 10
"""Runs whose steps are asked for at once: those of a job are fewer than 20."""

T = TypeVar("T")


async def find_run(client: PrefectClient, flow: str, idempotency_key: str) -> JobRun | None:
    """The run of a flow that was submitted with the key, None when there is none."""
    found = await client.read_flow_runs(
        flow_filter=FlowFilter(name=FlowFilterName(any_=[flow])),
        flow_run_filter=FlowRunFilter(idempotency_key=FlowRunFilterIdempotencyKey(any_=[idempotency_key])),
        limit=1,
    )
    return job_run(found[0], [], []) if found else None


async def read_run(client: PrefectClient, run_id: UUID) -> JobRun:
    """One run as it is now. Raises `NotFound`."""
    found = await read_runs(client, [run_id])
    if run_id not in found:
        raise NotFound(f"there is no task {run_id}", fix="check the id, or submit the job again", run_id=str(run_id))
    return found[run_id]


async def read_runs(client: PrefectClient, run_ids: Iterable[UUID]) -> dict[UUID, JobRun]:
    """Those of the runs that exist, as they are now: in one call, two more for every ten of them that run."""
    wanted = list(dict.fromkeys(run_ids))
    pages = [wanted[first : first + PAGE] for first in range(0, len(wanted), PAGE)]
    found = await asyncio.gather(*(_read_page(client, page) for page in pages))
    return {run.run_id: run for page in found for run in page}


async def _read_page(client: PrefectClient, run_ids: list[UUID]) -> list[JobRun]:
    runs = await client.read_flow_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=run_ids)))
    in_hand = [run.id for run in runs if run.state_type in IN_HAND]
    groups = [in_hand[first : first + ASKED_TOGETHER] for first in range(0, len(in_hand), ASKED_TOGETHER)]
    steps = asyncio.gather(*(_newest(partial(_steps, client), group) for group in groups))
    shares = asyncio.gather(*(_newest(partial(_shares, client), group) for group in groups))
    tasks, artifacts = await asyncio.gather(steps, shares)
    return [job_run(run, list(chain(*tasks)), list(chain(*artifacts))) for run in runs]


async def _newest(ask: Callable[[list[UUID]], Awaitable[list[T]]], run_ids: list[UUID]) -> list[T]:
    """What is asked for of some runs, newest first for each; a run with very much of it hides no other's."""
    found = await ask(run_ids)
    if len(found) < PAGE or len(run_ids) == 1:
        return found
    half = len(run_ids) // 2
    return [*await _newest(ask, run_ids[:half]), *await _newest(ask, run_ids[half:])]


async def cancel_run(client: PrefectClient, run_id: UUID) -> JobRun:
    """Stop a run: at once when it waits, by its worker when it runs.

    Raises:
        NotFound: there is no such run.
        Conflict: it is finished.
    """
    run = await _read(client, run_id)
    for _ in range(ATTEMPTS):
        if run.state_type == StateType.CRASHED:
            async with recovering(run_id):
                run = await _read(client, run_id)
                if run.state_type == StateType.CRASHED:
                    await client.set_flow_run_state(run_id, Cancelled())
                    return await read_run(client, run_id)
        if run.state_type in FINISHED:
            break
        if await _cancel(client, run_id):
            return await read_run(client, run_id)
        run = await _read(client, run_id)  # it crashed or ended meanwhile
    raise Conflict(
        f"task {run_id} is {(run.state_name or 'finished').lower()} and cannot be cancelled",
        fix="read its status; a finished task needs no cancelling",
        run_id=str(run_id),
    )


async def _cancel(client: PrefectClient, run_id: UUID) -> bool:
    """Cancel a run that waits or runs; False when it had ended.

    The server turns Cancelling into Cancelled for what never had a process. A run that waits for another attempt
    had one, so nobody would end its Cancelling; one that is just being started must stay in it, since Prefect lets
    a process begin a run that is Cancelled, but not one that is Cancelling.
    """
    result = await client.set_flow_run_state(run_id, Cancelling())
    if result.status == SetStateStatus.ACCEPT:
        states = sorted(await client.read_flow_run_states(run_id), key=lambda state: state.timestamp)
        before = [state.type for state in states][-2:-1]
        if before == [StateType.SCHEDULED]:
            await client.set_flow_run_state(run_id, Cancelled())
        return True
    return result.state is not None and result.state.type in (StateType.CANCELLING, StateType.CANCELLED)


@asynccontextmanager
async def recovering(run_id: UUID) -> AsyncGenerator[None]:
    """Be the only one who decides what becomes of a crashed run.

    Raises:
        TimedOut: somebody else has been deciding for a minute.
    """
    key = f"recovery-{run_id}"
    if not await STORE_LOCKS.aacquire_lock(key, key, acquire_timeout=DECIDING_S):
        raise TimedOut(f"what becomes of the run {run_id} is being decided elsewhere", fix="try again in a minute")
    try:
        yield
    finally:
        # In a thread, since the store may be far away; to its end, even when the caller is cancelled.
        await asyncio.shield(asyncio.to_thread(STORE_LOCKS.release_lock, key, key))


async def _read(client: PrefectClient, run_id: UUID) -> FlowRun:
    try:
        return await client.read_flow_run(run_id)
    except ObjectNotFound as error:
        raise NotFound(
            f"there is no task {run_id}", fix="check the id, or submit the job again", run_id=str(run_id)
        ) from error


async def _steps(client: PrefectClient, run_ids: list[UUID]) -> list[TaskRun]:
    """The latest task runs of the flow runs."""
    return await client.read_task_runs(
        flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=run_ids)),
        sort=TaskRunSort.EXPECTED_START_TIME_DESC,
        limit=PAGE,
    )


async def _shares(client: PrefectClient, run_ids: list[UUID]) -> list[Artifact]:
    """The latest progress of the flow runs."""
    wanted = ArtifactFilter(
        flow_run_id=ArtifactFilterFlowRunId(any_=run_ids),
        key=ArtifactFilterKey(like_="progress-%"),
        type=ArtifactFilterType(any_=["progress"]),
    )
    return await client.read_artifacts(artifact_filter=wanted, sort=ArtifactSort.CREATED_DESC, limit=PAGE)
