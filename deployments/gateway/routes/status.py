"""`GET /v1/status/{task_id}`: how far a task is, and what came of it; on request, waiting for the next news."""

from typing import Annotated, Any

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import QueryParameter
from prefect.client.orchestration import PrefectClient

from blocks.errors import NotFound
from blocks.keys import ApiKey
from blocks.progress import in_thread
from blocks.runs import JobRun, RunStatus
from blocks.store.files import Files
from deployments.gateway.answers.field_names import Keys, named
from deployments.gateway.answers.finished import read_finished
from deployments.gateway.answers.ownership import TaskId, expired, own_run
from deployments.gateway.answers.redaction import result_for, run_for
from deployments.gateway.answers.task_status import TaskStatus, public, task_status
from deployments.gateway.watch import Watcher
from deployments.gateway.web.auth import needs

LONGEST_WAIT_S = 60


@get(
    "/v1/status/{task_id:str}",
    opt=needs("read"),
    operation_id="readStatus",
    summary="Status and results of a task",
    responses={
        200: ResponseSpec(
            TaskStatus | dict[str, Any],
            generate_examples=False,
            description="The status; results once it is COMPLETE. With `keys=vi` the same with Vietnamese names.",
        )
    },
)
async def read_status(
    task_id: TaskId,
    prefect: NamedDependency[PrefectClient],
    files: NamedDependency[Files],
    key: NamedDependency[ApiKey],
    watcher: NamedDependency[Watcher],
    wait: Annotated[
        float, QueryParameter(ge=0, le=LONGEST_WAIT_S, description="Seconds to wait for the status to change.")
    ] = 0,
    seen: Annotated[
        RunStatus | None,
        QueryParameter(description="The status the client knows: with another one `wait` ends at once."),
    ] = None,
    keys: Annotated[
        Keys, QueryParameter(description="Language of the field names; `vi` as the newer servers of this API answer.")
    ] = "en",
) -> Response[dict[str, Any]]:
    """Read how far a task is.

    A finished task stays readable as long as its files are kept. A task whose texts could not be made as asked is
    COMPLETE all the same, with notices, and holds the raw transcript.
    """
    run = await own_run(prefect, key, task_id)
    if wait and not run.finished and seen in (None, run.status):
        run = await watcher.wait_for_status(run, wait)
    return Response(named(await status_of(prefect, files, run, key), keys))


async def status_of(prefect: PrefectClient, files: Files, run: JobRun, key: ApiKey) -> dict[str, Any]:
    """The status of a run as JSON for a key. Raises `TaskNotFound` when its result has expired."""
    result = result_for(key, run, await read_finished(prefect, files, run)) if run.status == "COMPLETE" else None
    try:
        return public(await in_thread(task_status, run_for(key, run), result, files))
    except NotFound:  # a file went between two reads
        raise expired(run) from None


handlers = [read_status]
