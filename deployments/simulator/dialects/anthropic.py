"""The dialect of Anthropic."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from math import ceil
from typing import Any

import orjson

from deployments.simulator.asked import (
    Answer,
    Asked,
    BadRequest,
    Limited,
    Refusal,
    Standing,
    Tool,
    Why,
    as_json,
    mapping,
)

FINISH = {"stop": "end_turn", "length": "max_tokens", "tool": "tool_use", "filtered": "refusal"}
WINDOWS = {
    "rpm": "requests per minute",
    "tpm": "tokens per minute",
    "rpd": "requests per day",
    "tpd": "tokens per day",
}
DOCS = "For details, refer to: https://docs.claude.com/en/api/rate-limits."


class Anthropic:
    """`/v1/messages`, `/v1/models`."""

    needs_header: str | None = "anthropic-version"

    def parse(self, body: dict[str, Any], model: str, action: str) -> Asked:
        """See `Dialect`."""
        for name in ("model", "messages", "max_tokens"):
            if not body.get(name):
                raise BadRequest(f"{name}: Field required", name)
        messages: list[dict[str, Any]] = body["messages"]
        tools: list[dict[str, Any]] = body.get("tools") or []
        form = mapping(mapping(body.get("output_config")).get("format") or body.get("output_format"))
        schema = form["schema"] if form.get("type") == "json_schema" else None
        said = [text for message in messages for text in _texts(message.get("content"))]
        extra = as_json(tools, schema)
        last: Any = messages[-1].get("content")
        return Asked(
            model=str(body["model"]),
            texts=(*_texts(body.get("system")), *said, *extra),
            last=said[-1] if said else "",
            max_tokens=int(body["max_tokens"]),
            schema=schema,
            tools=tuple(Tool(name=tool["name"], schema=tool.get("input_schema") or {}) for tool in tools),
            tool_choice=_choice(body.get("tool_choice")),
            has_tool_result=isinstance(last, list) and any(_kind(part) == "tool_result" for part in last),  # pyright: ignore[reportUnknownVariableType]
            stream=bool(body.get("stream")),
            body=body,
        )

    def answer(self, asked: Asked, answer: Answer, name: str, created_s: int) -> bytes:
        """See `Dialect`."""
        content = [{"type": "text", "text": answer.text}] if answer.text else []
        message = _message(asked, answer, name)
        return orjson.dumps(message | {"content": content + _calls(answer, name), "stop_reason": FINISH[answer.finish]})

    def stream(
        self, asked: Asked, answer: Answer, name: str, created_s: int, pieces: Iterable[str]
    ) -> Iterator[tuple[bytes, bool]]:
        """See `Dialect`."""
        begun = _message(asked, answer, name)
        begun["usage"] = begun["usage"] | {"output_tokens": 1}
        yield _event("message_start", message=begun), False
        place = 0
        if answer.text:
            yield _event("content_block_start", index=0, content_block={"type": "text", "text": ""}), False
            yield _event("ping"), False
            for piece in pieces:
                yield _event("content_block_delta", index=0, delta={"type": "text_delta", "text": piece}), True
            yield _event("content_block_stop", index=0), False
            place = 1
        for at, (call, block) in enumerate(zip(answer.calls, _calls(answer, name), strict=True), start=place):
            yield _event("content_block_start", index=at, content_block=block | {"input": {}}), True
            half = len(call.arguments) // 2
            for part in (call.arguments[:half], call.arguments[half:]):
                delta = {"type": "input_json_delta", "partial_json": part}
                yield _event("content_block_delta", index=at, delta=delta), True
            yield _event("content_block_stop", index=at), False
        ended = {"stop_reason": FINISH[answer.finish], "stop_sequence": None}
        yield _event("message_delta", delta=ended, usage={"output_tokens": answer.completion_tokens}), False
        yield _event("message_stop"), False

    def refusal(self, refusal: Refusal, name: str) -> tuple[int, bytes]:
        """See `Dialect`."""
        if refusal.limited is not None:
            status, kind, message = 429, "rate_limit_error", _limited(refusal.limited, refusal.model)
        else:
            status, kind, wording = ERRORS[refusal.why]
            message = refusal.put_into(wording)
        if refusal.why == "error":
            status = refusal.status
        error = {"type": kind, "message": message}
        return status, orjson.dumps({"type": "error", "error": error, "request_id": f"req_{name}"})

    def headers(self, requests: Standing | None, tokens: Standing | None, wall_s: float) -> dict[str, str]:
        """See `Dialect`."""
        headers: dict[str, str] = {}
        for kind, standing in (("requests", requests), ("tokens", tokens)):
            if standing is not None:
                # Whole seconds, as the provider sends them: rounded up, so that it is not too soon.
                resets = datetime.fromtimestamp(ceil(wall_s + standing.reset_s), UTC)
                headers[f"anthropic-ratelimit-{kind}-limit"] = str(standing.limit)
                headers[f"anthropic-ratelimit-{kind}-remaining"] = str(standing.remaining)
                headers[f"anthropic-ratelimit-{kind}-reset"] = f"{resets:%Y-%m-%dT%H:%M:%SZ}"
        return headers

    def retry_headers(self, wait_s: float) -> dict[str, str]:
        """See `Dialect`."""
        return {"retry-after": str(ceil(wait_s))}

    def request_id(self, name: str) -> dict[str, str]:
        """See `Dialect`."""
        return {"request-id": f"req_{name}"}

    def models(self, names: list[str]) -> bytes:
        """See `Dialect`."""
        made = f"{datetime(2026, 1, 1, tzinfo=UTC):%Y-%m-%dT%H:%M:%SZ}"
        listed = [{"type": "model", "id": name, "display_name": name, "created_at": made} for name in names]
        ends = {"first_id": names[0], "last_id": names[-1]}
        return orjson.dumps({"data": listed, "has_more": False, **ends})


def _message(asked: Asked, answer: Answer, name: str) -> dict[str, Any]:
    """A message without its content; tokens read from the cache are not among `input_tokens`."""
    return {
        "id": f"msg_{name}",
        "type": "message",
        "role": "assistant",
        "model": asked.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {
            "input_tokens": answer.prompt_tokens - answer.cached_tokens,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": answer.cached_tokens,
            "output_tokens": answer.completion_tokens,
        },
    }


def _calls(answer: Answer, name: str) -> list[dict[str, Any]]:
    return [
        {"type": "tool_use", "id": f"toolu_{name}{place}", "name": call.name, "input": orjson.loads(call.arguments)}
        for place, call in enumerate(answer.calls)
    ]


def _event(kind: str, **content: Any) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (kind.encode(), orjson.dumps({"type": kind, **content}))


def _kind(part: Any) -> str:
    return part.get("type", "")


def _texts(content: Any) -> list[str]:
    """The texts of a system prompt or a message: plain, or blocks of text, tool calls and tool results."""
    if not content:
        return []
    if isinstance(content, str):
        return [content]
    texts: list[str] = []
    blocks: list[dict[str, Any]] = content
    for block in blocks:
        if block["type"] == "text":
            texts.append(block["text"])
        elif block["type"] == "tool_use":
            texts.append(orjson.dumps(block["input"]).decode())
        elif block["type"] == "tool_result":
            texts.extend(_texts(block.get("content")))
    return texts


def _choice(choice: dict[str, Any] | None) -> str:
    if choice is None:
        return "auto"
    return choice["name"] if choice["type"] == "tool" else choice["type"]


INVALID = "invalid_request_error"
ERRORS: dict[Why, tuple[int, str, str]] = {
    "no_key": (401, "authentication_error", "x-api-key header is required"),
    "unauthorised": (401, "authentication_error", "invalid x-api-key"),
    "not_found": (404, "not_found_error", "Not found"),
    "no_model": (404, "not_found_error", "model: {model}"),
    "context": (400, INVALID, "prompt is too long: {prompt} tokens > {limit} maximum"),
    "context_with_answer": (
        400,
        INVALID,
        "input length and `max_tokens` exceed context limit: {prompt} + {most} > {limit}, decrease input length or "
        "`max_tokens` and try again",
    ),
    "output": (
        400,
        INVALID,
        "max_tokens: {most} > {limit}, which is the maximum allowed number of output tokens for {model}",
    ),
    "invalid": (400, INVALID, "{message}"),
    "rate_limited": (429, "rate_limit_error", "This request would exceed your account's rate limit."),
    "out_of_quota": (
        400,
        INVALID,
        "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or "
        "purchase credits.",
    ),
    "overloaded": (529, "overloaded_error", "Overloaded"),
    "error": (500, "api_error", "Internal server error"),
}
"""Status, type and message; all but the limits."""


def _limited(limited: Limited, model: str) -> str:
    if limited.window == "concurrency":
        return "Number of concurrent connections has exceeded your rate limit. Please try again later."
    limit = f"{limited.limit:,} {WINDOWS[limited.window]} (org: simulated, model: {model})"
    return f"This request would exceed your organization's rate limit of {limit}. {DOCS}"
