"""`POST /v1/chat/completions` as OpenAI's clients speak it: the account pool as one endpoint."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any

import orjson
from litestar import Request, Response, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import OpenAPIMediaType, OpenAPIType, Operation, RequestBody, Schema
from litestar.response import Stream

from blocks.accounts.chat import Answer
from blocks.accounts.dialects.protocol import Piece
from blocks.errors import C500Error
from blocks.keys import ApiKey
from blocks.settings import settings
from deployments.gateway.answers.chat import Chunks, completion
from deployments.gateway.answers.openai_errors import HANDLERS, error_body
from deployments.gateway.answers.own_limits import own_limits_named
from deployments.gateway.counters import LLM_WAITED
from deployments.gateway.intake.chat import ChatAsked, read_chat
from deployments.gateway.llm import LivePool
from deployments.gateway.web.auth import needs
from deployments.gateway.web.listening import Relay, while_listening
from deployments.gateway.web.openapi import AS_OPENAI

MAX_BODY_BYTES = 32 * 1024 * 1024
"""Pictures come within the body."""

EVENTS = "text/event-stream"
DONE = b"data: [DONE]\n\n"


@dataclass
class ChatOperation(Operation):
    """Documents the body, which is read with a limit of its own."""

    def __post_init__(self) -> None:
        told = ChatAsked.model_json_schema()
        fields = _inlined(told["properties"], told["$defs"])
        schema = Schema(type=OpenAPIType.OBJECT, properties=fields, required=told["required"])
        self.request_body = RequestBody(required=True, content={"application/json": OpenAPIMediaType(schema=schema)})


def _inlined(schema: Any, named: dict[str, Any]) -> Any:
    """A schema without references: those of pydantic lead to a part that the OpenAPI document has not."""
    if isinstance(schema, list):
        return [_inlined(one, named) for one in schema]  # pyright: ignore[reportUnknownVariableType]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _inlined(named[str(schema["$ref"]).rsplit("/", 1)[-1]], named)  # pyright: ignore[reportUnknownArgumentType]
    return {name: _inlined(one, named) for name, one in schema.items()}  # pyright: ignore[reportUnknownVariableType]


@post(
    "/v1/chat/completions",
    opt=needs("chat") | AS_OPENAI,
    status_code=200,
    operation_id="chat",
    summary="Have a conversation continued, as OpenAI's API does",
    tags=["chat"],
    operation_class=ChatOperation,
    exception_handlers=HANDLERS,
    request_max_body_size=MAX_BODY_BYTES,
    responses={200: ResponseSpec(dict[str, Any], generate_examples=False, description="The answer, or its chunks.")},
)
async def chat(
    request: Request[Any, Any, Any], key: NamedDependency[ApiKey], live_pool: NamedDependency[LivePool]
) -> Response[Any]:
    """Have the account pool answer, within its limits, budgets and those of the key.

    A client that goes away ends its call. Tokens and cost are in the answer and in the books.
    """
    asked = read_chat(await request.body())
    pool = await live_pool.serving(key)
    wanted, caller = asked.request(), asked.caller(key, settings().chat_deadline_s)
    if not asked.stream:
        with own_limits_named(key, pool.accounts):
            answer = await while_listening(request, pool.complete(wanted, caller))
        LLM_WAITED.observe(answer.waited_s)
        return Response(completion(answer))
    relay = Relay(pool.stream(wanted, caller))
    try:
        # Before the answer begins, so that an error can still have its status.
        with own_limits_named(key, pool.accounts):
            first = await while_listening(request, relay.next())
    except BaseException:
        await relay.close()
        raise
    chunks = Chunks(model=asked.model, include_usage=asked.stream_options.include_usage)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return Stream(_events(relay, first, chunks, key), media_type=EVENTS, headers=headers)


async def _events(
    relay: Relay[Piece | Answer], item: Piece | Answer | None, chunks: Chunks, key: ApiKey
) -> AsyncGenerator[bytes]:
    try:
        yield _event(chunks.first())
        while item is not None:
            for chunk in chunks.of(item):
                yield _event(chunk)
            if isinstance(item, Answer):
                LLM_WAITED.observe(item.waited_s)
            item = await relay.next()
        yield DONE
    except C500Error as error:  # it broke off: the status is sent already
        yield _event(error_body(error, key))
    finally:
        await relay.close()


def _event(content: dict[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(content) + b"\n\n"


handlers = [chat]
