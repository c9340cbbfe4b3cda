"""`GET /v1/events/{task_id}`: the way of a task as server-sent events."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import HeaderParameter, QueryParameter
from litestar.response import Stream
from prefect.client.orchestration import PrefectClient

from blocks.errors import C500Error
from blocks.keys import ApiKey
from blocks.runs import JobRun
from blocks.store.files import Files
from deployments.gateway.answers.field_names import Keys, named
from deployments.gateway.answers.ownership import TaskId, own_run
from deployments.gateway.routes.status import status_of
from deployments.gateway.watch import Watcher
from deployments.gateway.web.auth import needs

HEARTBEAT_S = 15.0
RETRY_MS = 2000
MEDIA_TYPE = "text/event-stream"


@get(
    "/v1/events/{task_id:str}",
    opt=needs("read"),
    media_type=MEDIA_TYPE,
    operation_id="followTask",
    summary="Events of a task as they happen",
    responses={
        200: ResponseSpec(
            str,
            media_type=MEDIA_TYPE,
            generate_examples=False,
            description="Events `status` and `progress`, and one `end` with the whole status; then the stream ends.",
        )
    },
)
async def follow(
    task_id: TaskId,
    prefect: NamedDependency[PrefectClient],
    files: NamedDependency[Files],
    key: NamedDependency[ApiKey],
    watcher: NamedDependency[Watcher],
    last_event_id: Annotated[
        str, HeaderParameter(name="Last-Event-ID", max_length=200, description="Where an earlier stream broke off.")
    ] = "",
    keys: Annotated[Keys, QueryParameter(description="Language of the field names in `end`.")] = "en",
) -> Response[Any]:
    """Follow a task until it ends.

    The first event tells where the task stands, unless `Last-Event-ID` says that the client knows it already; when it
    knows the end the answer is 204, which tells browsers to stop coming back. Lines that begin with a colon keep the
    connection open.
    """
    run = await own_run(prefect, key, task_id)
    if run.finished and last_event_id == _id(run):
        return Response(None, status_code=204)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    events = _events(watcher, prefect, files, run, key, last_event_id, keys)
    return Stream(events, media_type=MEDIA_TYPE, headers=headers)


async def _events(
    watcher: Watcher, prefect: PrefectClient, files: Files, run: JobRun, key: ApiKey, known: str, keys: Keys
) -> AsyncGenerator[str]:
    yield f"retry: {RETRY_MS}\n\n"
    status = ""
    try:
        async with aclosing(_with_heartbeats(watcher, run)) as runs:
            async for latest in runs:
                if latest is None:
                    yield ": still there\n\n"
                    continue
                run = latest
                if run.finished or _id(run) == known:
                    continue
                known = _id(run)
                yield _event("progress" if run.status == status else "status", known, _news(run))
                status = run.status
        yield _event("end", _id(run), named(await status_of(prefect, files, run, key), keys))
    except C500Error as error:  # the task was deleted, or its files are
        told = {"status": run.status, "error": error.message, "error_code": error.code, "fix": error.fix}
        yield _event("end", _id(run), told)


async def _with_heartbeats(watcher: Watcher, run: JobRun) -> AsyncGenerator[JobRun | None]:
    """The run as it is, then each change of it; None whenever nothing has changed for a while."""
    yield run
    async with aclosing(watcher.changes(run)) as changes:
        upcoming = asyncio.ensure_future(anext(changes, None))
        try:
            while True:
                done, _ = await asyncio.wait([upcoming], timeout=HEARTBEAT_S)
                if not done:
                    yield None
                    continue
                changed = upcoming.result()
                if changed is None:
                    return
                yield changed
                upcoming = asyncio.ensure_future(anext(changes, None))
        finally:
            upcoming.cancel()
            await asyncio.wait([upcoming])


def _news(run: JobRun) -> dict[str, Any]:
    return {"task_id": str(run.run_id), "status": run.status, "step": run.step, "share": run.share}


def _id(run: JobRun) -> str:
    """Names the state, so that a client that comes back is not told what it knows."""
    share = "" if run.share is None else f"{run.share:.3f}"
    return f"{run.attempts}/{run.status}/{run.step or ''}/{share}"


def _event(kind: str, event_id: str, data: dict[str, Any]) -> str:
    return f"event: {kind}\nid: {event_id}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n"


handlers = [follow]
