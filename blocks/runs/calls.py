"""Submit, read and cancel jobs through Prefect's API."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from functools import partial
from http import HTTPStatus
from itertools import chain
from typing import Any, TypeVar
from uuid import UUID

from httpx import Response
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
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from prefect.states import Cancelled, Cancelling
from pydantic_core import to_jsonable_python

from blocks.errors import Conflict, EngineUnavailable, NotFound, TimedOut
from blocks.runs.queue import PAGE
from blocks.runs.record import FINISHED, FLOW, IN_HAND, JOB_TAG, OWNER, OWNER_TAG, SOURCE_NAME, UPLOAD, JobRun, job_run
from blocks.steps import STORE_LOCKS

ATTEMPTS = 2
"""How often a run is cancelled whose state changes meanwhile."""

DECIDING_S = 60.0

ASKED_TOGETHER = 10
"""Runs whose steps are asked for at once: those of a job are fewer than 20."""

T = TypeVar("T")


async def submit_run(
    client: PrefectClient,
    *,
    deployment: str,
    parameters: dict[str, Any],
    name: str,
    owner: str,
    idempotency_key: str,
    source_name: str | None = None,
    upload: str | None = None,
    queue: str | None = None,
) -> tuple[JobRun, bool]:
    """Have a deployment run; the same idempotency key gives the run that exists already.

    Args:
        client: The Prefect server's.
        deployment: `flow/deployment`.
        parameters: Of the flow.
        name: Name of the run, for people.
        owner: Id of the key that submits.
        idempotency_key: Says which submissions are the same.
        source_name: File name as the client gave it.
        upload: Store key of the upload.
        queue: Work queue within the deployment's pool; None for its own.

    Returns:
        The run, and whether it is new.

    Raises:
        EngineUnavailable: there is no such deployment.
    """
    labels = {OWNER: owner, SOURCE_NAME: source_name, UPLOAD: upload, FLOW: deployment.split("/")[0]}
    wanted = {
        "parameters": to_jsonable_python(parameters),
        # Half of the server's time for a run (measured), and the flow checks its parameters itself.
        "enforce_parameter_schema": False,
        "name": name,
        "tags": [JOB_TAG, f"{OWNER_TAG}{owner}"],
        "idempotency_key": idempotency_key,
        "work_queue_name": queue,
        "labels": {label: value for label, value in labels.items() if value is not None},
    }

    response = await _create(client, deployment, wanted)
    if response is None:
        _deployments.clear()  # it was deleted, and perhaps made anew
        response = await _create(client, deployment, wanted)
    if response is None:
        raise _no_deployment(deployment)
    run = FlowRun.model_validate(response.json())
    return job_run(run, [], []), response.status_code == HTTPStatus.CREATED


async def _create(client: PrefectClient, deployment: str, wanted: dict[str, Any]) -> Response | None:
    """The server's answer, None when it does not know the deployment under the id that it had."""
    deployment_id = await _deployment_id(client, deployment)
    path = "/deployments/{id}/create_flow_run"
    try:
        return await client.request("POST", path, path_params={"id": deployment_id}, json=wanted)
    except PrefectHTTPStatusError as error:
        if error.response.status_code != HTTPStatus.NOT_FOUND:
            raise
        return None


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


_deployments: dict[tuple[str, str], UUID] = {}


async def _deployment_id(client: PrefectClient, name: str) -> UUID:
    """The id of a deployment, which stays as long as the deployment exists."""
    known = (str(client.api_url), name)
    if known not in _deployments:
        try:
            _deployments[known] = (await client.read_deployment_by_name(name)).id
        except ObjectNotFound as error:
            raise _no_deployment(name) from error
    return _deployments[known]


def _no_deployment(name: str) -> EngineUnavailable:
    return EngineUnavailable(f"there is no deployment {name}", fix="run `c500 up`", deployment=name)


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
