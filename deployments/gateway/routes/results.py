"""`GET /v1/results/{task_id}/{name}`: what a finished task made, streamed from the store."""

import hashlib
from typing import Annotated, Any

from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import PathParameter
from prefect.client.orchestration import PrefectClient

from blocks.errors import Conflict, NotFound
from blocks.job import JobResult
from blocks.keys import ApiKey
from blocks.progress import in_thread
from blocks.runs import JobRun
from blocks.store.files import FileRef, Files
from deployments.gateway.answers.finished import read_finished
from deployments.gateway.answers.ownership import TaskId, expired, own_run
from deployments.gateway.answers.redaction import content_for, plain_engine, result_for, run_for
from deployments.gateway.answers.serving import served
from deployments.gateway.answers.task_status import error_code
from deployments.gateway.web.auth import needs

JSON = "json"
AUDIO = "audio"
SHORT_NAMES = {form: f"transcript.{form}" for form in ("txt", "srt", "vtt", "tsv", "md")}
"""Forms of the transcript, by what a client asks for."""

RETRY_AFTER_S = 2


class NotFinished(Conflict):
    """The task has not come to its end. Details: `status`, `retry_after_s`."""

    code = "TASK_NOT_FINISHED"


class TaskFailed(Conflict):
    """The task failed: there is no result. Details: `error_code`, `stage`."""

    code = "TASK_FAILED"


@get(
    "/v1/results/{task_id:str}/{name:str}",
    opt=needs("read"),
    operation_id="readResult",
    summary="A file of a finished task",
    responses={200: ResponseSpec(bytes, media_type="*/*", generate_examples=False, description="The file.")},
)
async def read_file(
    task_id: TaskId,
    name: Annotated[
        str,
        PathParameter(
            description="`json` (the result), `txt`, `srt`, `vtt`, `tsv`, `md` (the transcript), `audio` (the "
            "recording, with HTTP ranges), or a file of the result by its name, such as `waveform.png`."
        ),
    ],
    request: Request[Any, Any, Any],
    prefect: NamedDependency[PrefectClient],
    files: NamedDependency[Files],
    key: NamedDependency[ApiKey],
) -> Response[Any]:
    """Read the result of a finished task in one of its forms."""
    run = run_for(key, await own_run(prefect, key, task_id))
    _check_complete(run)
    result = await read_finished(prefect, files, run)
    if name == JSON:
        return Response(await in_thread(public_result, key, run, result, files))
    shown = result_for(key, run, result)
    ref = _file(shown, name)
    if not await in_thread(files.exists, ref.key):
        raise expired(run)
    content = await in_thread(content_for, key, shown.source_name, result, ref, files)
    return served(request, files, shown_ref(ref, content), download_name(shown.source_name, ref), content)


def public_result(key: ApiKey, run: JobRun, result: JobResult, files: Files) -> dict[str, Any]:
    """The result as JSON, with addresses of this gateway in place of names in the store, which this reads."""
    shown = result_for(key, run, result)
    content = shown.model_dump(mode="json", exclude={"source", "files"})
    for engine in ("speech", "diarisation", "language"):
        content["versions"][engine] = plain_engine(content["versions"][engine])
    content["files"] = {
        name: {"url": f"/v1/results/{run.run_id}/{name}"}
        | shown_ref(ref, content_for(key, shown.source_name, result, ref, files)).model_dump(exclude={"key"})
        for name, ref in shown.files.items()
    }
    return content


def shown_ref(ref: FileRef, content: bytes | None) -> FileRef:
    """What a client is told of a file; `content` is given where it is not what lies in the store."""
    if content is None:
        return ref
    return ref.model_copy(update={"sha256": hashlib.sha256(content).hexdigest(), "size_bytes": len(content)})


def download_name(source_name: str, ref: FileRef) -> str:
    """What a browser calls a file: after the recording, where the file is a form of it."""
    name = ref.key.rsplit("/", 1)[-1]
    stem = source_name.rsplit("/", 1)[-1].rsplit(".", 1)[0]
    if name.startswith("source."):
        return source_name.rsplit("/", 1)[-1]
    return f"{stem}.{name.split('.', 1)[1]}" if name in SHORT_NAMES.values() else f"{stem}.{name}"


def _check_complete(run: JobRun) -> None:
    if not run.finished:
        raise NotFinished(
            f"task {run.run_id} is {run.status}",
            fix="wait for it with /v1/status/…?wait=60 or /v1/events/…",
            task_status=run.status,
            retry_after_s=RETRY_AFTER_S,
        )
    if run.error is not None:
        raise TaskFailed(
            f"task {run.run_id} failed: {run.error.message}",
            fix=run.error.fix,
            error_code=error_code(run.error, run.flow),
            stage=run.error.stage,
        )


def _file(result: JobResult, name: str) -> FileRef:
    if name == AUDIO and result.source is not None and result.audio is not None:
        return result.source
    ref = result.files.get(SHORT_NAMES.get(name, name))
    if ref is None:
        there = [JSON, *(form for form, file in SHORT_NAMES.items() if file in result.files), *result.files]
        raise NotFound(
            f"this task has no {name[:64]!r}", fix=f"choose one of {', '.join([*there, AUDIO])}", available=there
        )
    return ref


handlers = [read_file]
