"""`POST /v1/process` and `POST /v1/process_text`: recordings and texts in, the id of their job out."""

import hashlib
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

from anyio.to_thread import run_sync
from litestar import Request, post
from litestar.di import NamedDependency
from litestar.openapi.spec import OpenAPIMediaType, OpenAPIType, Operation, Parameter, RequestBody, Schema
from prefect.client.orchestration import PrefectClient
from pydantic import BaseModel, SerializerFunctionWrapHandler, model_serializer
from pydantic_core import from_json

from blocks.errors import BadInput, TooLarge
from blocks.job import JobOptions
from blocks.keys import ApiKey
from blocks.model import Frozen
from blocks.progress import in_thread
from blocks.runs import JobRun, RunStatus
from blocks.store.files import Files
from deployments.gateway.intake.admission import Admission
from deployments.gateway.intake.fields import Asked, TextAsked, read_fields, read_form, unread
from deployments.gateway.intake.quotas import Quotas
from deployments.gateway.intake.submission import (
    IDEMPOTENCY_KEY,
    MAX_KEY_CHARS,
    Submission,
    idempotency_key_of,
    is_known,
    settled,
    submit,
    take_recording,
)
from deployments.gateway.intake.uploads import Form, announced_bytes
from deployments.gateway.web.auth import needs
from deployments.gateway.web.problems import sizes

MAX_TEXT_BYTES = 4_000_000
"""Of the JSON body of a text: some 600,000 words, more than a language engine reads."""

TEXT_NAME = "text.txt"


class Accepted(Frozen):
    """A job that will be done.

    Attributes:
        task_id: What to ask for its status with.
        status: Where it is now; not PENDING when an equal submission came before.
        ignored_fields: Fields of the request that nobody reads, when there are any.
    """

    task_id: UUID
    status: RunStatus
    ignored_fields: tuple[str, ...] = ()

    @model_serializer(mode="wrap")
    def _as_ever(self, serialise: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Older clients get what they know, unless there is something to tell."""
        return {name: value for name, value in serialise(self).items() if value or name != "ignored_fields"}


@dataclass
class _WithKey(Operation):
    """Documents the header that both routes read by hand."""

    def __post_init__(self) -> None:
        described = "Requests with the same key are one job; without it equal content is."
        schema = Schema(type=OpenAPIType.STRING, min_length=1, max_length=MAX_KEY_CHARS)
        header = Parameter(name=IDEMPOTENCY_KEY, param_in="header", description=described, schema=schema)
        self.parameters = [*(self.parameters or []), header]


@dataclass
class ProcessOperation(_WithKey):
    """Documents the form, which is read as a stream instead of by Litestar."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.request_body = RequestBody(
            required=True,
            content={"multipart/form-data": OpenAPIMediaType(schema=form_schema(Asked, file=True))},
        )


@dataclass
class ProcessTextOperation(_WithKey):
    """Documents the body, which is read with a limit of its own."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.request_body = RequestBody(
            required=True, content={"application/json": OpenAPIMediaType(schema=form_schema(TextAsked))}
        )


@post("/v1/process", opt=needs("submit"), status_code=202, tags=["jobs"], operation_class=ProcessOperation)
async def process(
    request: Request[Any, Any, Any],
    prefect: NamedDependency[PrefectClient],
    files: NamedDependency[Files],
    key: NamedDependency[ApiKey],
    quotas: NamedDependency[Quotas],
    admission: NamedDependency[Admission],
) -> Accepted:
    """Submit a recording.

    The file streams to the store. A queue that is full refuses before the upload, with 429 and Retry-After. The same
    recording with the same options is one job, unless that failed.
    """

    def read(fields: Form) -> tuple[list[str], Callable[[], JobOptions]]:
        asked, ignored = read_form(fields)
        return ignored, asked.options

    return accepted(*await take_recording(request, prefect, files, key, quotas, admission, read))


@post("/v1/process_text", opt=needs("submit"), status_code=202, tags=["jobs"], operation_class=ProcessTextOperation)
async def process_text(
    request: Request[Any, Any, Any],
    prefect: NamedDependency[PrefectClient],
    files: NamedDependency[Files],
    key: NamedDependency[ApiKey],
    quotas: NamedDependency[Quotas],
    admission: NamedDependency[Admission],
) -> Accepted:
    """Submit a text to be corrected or summarised."""
    flow, idempotency_key = "process-text", idempotency_key_of(request)
    async with admission.place(key.key_id, partial(is_known, prefect, flow, key.key_id, idempotency_key)) as place:
        async with quotas.upload(key, announced_bytes(request)) as count:
            body = await json_body(request, count)
        asked = read_fields(TextAsked, body)
        options, template_sha256 = await in_thread(settled, asked.options)
        async with written(files, asked.text.encode()) as (path, sha256):
            job = Submission(
                flow=flow,
                owner=key.key_id,
                file=path,
                name=TEXT_NAME,
                sha256=sha256,
                options=options,
                template_sha256=template_sha256,
                idempotency_key=idempotency_key,
            )
            return accepted(await submit(prefect, files, admission, place, job), unread(TextAsked, body))


handlers = [process, process_text]


async def json_body(request: Request[Any, Any, Any], count: Any) -> dict[str, Any]:
    """The object that the body holds.

    Raises:
        TooLarge: it is over MAX_TEXT_BYTES.
        BadInput: it is no JSON object.
    """
    body = bytearray()
    async for chunk in request.stream():
        count(len(chunk))
        body += chunk
        if len(body) > MAX_TEXT_BYTES:
            raise TooLarge(
                f"the body is over {MAX_TEXT_BYTES} bytes",
                fix="send it as several texts",
                **sizes(max(len(body), announced_bytes(request) or 0), MAX_TEXT_BYTES),
            )
    try:
        value: Any = from_json(bytes(body))
    except ValueError as error:
        raise BadInput(f"the body is no JSON: {error}", fix="send a JSON object in UTF-8", field="body") from None
    if not isinstance(value, dict):
        raise BadInput("the body is no JSON object", fix='send {"text": …, "template_id": …}', field="body")
    return value  # pyright: ignore[reportUnknownVariableType]


@asynccontextmanager
async def written(files: Files, content: bytes) -> AsyncGenerator[tuple[Path, str]]:
    """A scratch file with the content, and its sha256."""
    with files.scratch("text") as path:
        await run_sync(path.write_bytes, content)  # as in `uploads`: never after the guard has gone
        yield path, hashlib.sha256(content).hexdigest()


def accepted(run: JobRun, ignored: list[str]) -> Accepted:
    """The answer to a submission."""
    return Accepted(task_id=run.run_id, status=run.status, ignored_fields=tuple(ignored))


def form_schema(model: type[BaseModel], *, file: bool = False) -> Schema:
    """The model as OpenAPI shows it."""
    told = model.model_json_schema()
    fields: dict[str, Any] = told["properties"]
    required: list[str] = told.get("required", [])
    if file:
        fields = {"file": {"type": "string", "format": "binary", "description": "the recording"}, **fields}
        required = ["file", *required]
    return Schema(type=OpenAPIType.OBJECT, properties=fields, required=required)
