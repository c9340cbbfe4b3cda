"""Submit, read and cancel jobs through Prefect's API."""

import asyncio
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    ArtifactFilterKey,
    ArtifactFilterType,
    FlowRunFilter,
    FlowRunFilterId,
)
from prefect.client.schemas.objects import Artifact, FlowRun, StateType, TaskRun
from prefect.client.schemas.responses import SetStateStatus
from prefect.client.schemas.sorting import ArtifactSort, TaskRunSort
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from prefect.states import Cancelled, Cancelling
from pydantic_core import to_jsonable_python

from blocks.errors import Conflict, NotFound
from blocks.runs.record import FINISHED, IN_HAND, JOB_TAG, OWNER, OWNER_TAG, SOURCE_NAME, UPLOAD, JobRun, job_run
from blocks.steps import STORE_LOCKS

PAGE = 200
"""Most objects Prefect's API returns at once."""


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
) -> JobRun:
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

    Raises:
        NotFound: there is no such deployment.
    """
    labels = {OWNER: owner, SOURCE_NAME: source_name, UPLOAD: upload}
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

    async def create(deployment_id: UUID) -> FlowRun:
        path = "/deployments/{id}/create_flow_run"
        response = await client.request("POST", path, path_params={"id": deployment_id}, json=wanted)
        return FlowRun.model_validate(response.json())

    try:
        run = await create(await _deployment_id(client, deployment))
    except PrefectHTTPStatusError as error:
        if error.response.status_code != HTTPStatus.NOT_FOUND:
            raise
        _deployments.clear()  # it was deleted and made anew
        run = await create(await _deployment_id(client, deployment))
    return job_run(run, [], [])


async def read_run(client: PrefectClient, run_id: UUID) -> JobRun:
    """One run as it is now. Raises `NotFound`."""
    found = await read_runs(client, [run_id])
    if run_id not in found:
        raise NotFound(f"there is no task {run_id}", fix="check the id, or submit the job again", run_id=str(run_id))
    return found[run_id]


async def read_runs(client: PrefectClient, run_ids: Iterable[UUID]) -> dict[UUID, JobRun]:
    """Those of the runs that exist, as they are now: in one call, two more side by side when some of them run."""
    wanted = list(dict.fromkeys(run_ids))
    pages = [wanted[first : first + PAGE] for first in range(0, len(wanted), PAGE)]
    found = await asyncio.gather(*(_read_page(client, page) for page in pages))
    return {run.run_id: run for page in found for run in page}


async def _read_page(client: PrefectClient, run_ids: list[UUID]) -> list[JobRun]:
    runs = await client.read_flow_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=run_ids)))
    in_hand = [run.id for run in runs if run.state_type in IN_HAND]
    tasks, artifacts = await asyncio.gather(_steps(client, in_hand), _shares(client, in_hand)) if in_hand else ([], [])
    return [job_run(run, tasks, artifacts) for run in runs]


async def cancel_run(client: PrefectClient, run_id: UUID) -> JobRun:
    """Stop a run: at once when it waits, by its worker when it runs.

    Raises:
        NotFound: there is no such run.
        Conflict: it is finished.
    """
    run = await _read(client, run_id)
    if run.state_type == StateType.CRASHED:
        async with recovering(run_id):
            run = await _read(client, run_id)
            if run.state_type == StateType.CRASHED:
                await client.set_flow_run_state(run_id, Cancelled())
                return await read_run(client, run_id)
    if run.state_type in FINISHED or not await _cancel(client, run_id):
        raise Conflict(
            f"task {run_id} is {(run.state_name or 'finished').lower()} and cannot be cancelled",
            fix="read its status; a finished task needs no cancelling",
            run_id=str(run_id),
        )
    return await read_run(client, run_id)


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
    """Be the only one who decides what becomes of a crashed run."""
    key = f"recovery-{run_id}"
    await STORE_LOCKS.aacquire_lock(key, key)
    try:
        yield
    finally:
        STORE_LOCKS.release_lock(key, key)


_deployments: dict[tuple[str, str], UUID] = {}


async def _deployment_id(client: PrefectClient, name: str) -> UUID:
    """The id of a deployment, which stays as long as the deployment exists."""
    known = (str(client.api_url), name)
    if known not in _deployments:
        try:
            _deployments[known] = (await client.read_deployment_by_name(name)).id
        except ObjectNotFound as error:
            raise NotFound(f"there is no deployment {name}", fix="run `c500 up`", deployment=name) from error
    return _deployments[known]


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
