"""The dialect of OpenAI and of the many servers that speak it."""

from collections.abc import Iterable, Iterator
from math import ceil
from typing import Any

import orjson

from deployments.simulator.asked import Answer, Asked, BadRequest, Refusal, Standing, Tool, as_json, mapping
from deployments.simulator.dialects.openai_errors import duration, error_of

FINISH = {"stop": "stop", "length": "length", "tool": "tool_calls", "filtered": "content_filter"}
DONE = b"data: [DONE]\n\n"
DIMENSIONS = 16
"""Of a vector where the request names none; real models have a thousand and more."""


class OpenAi:
    """`/v1/chat/completions`, `/v1/embeddings`, `/v1/models`."""

    needs_header: str | None = None

    def parse(self, body: dict[str, Any], model: str, action: str) -> Asked:
        """See `Dialect`."""
        name = body.get("model")
        if not isinstance(name, str) or not name:
            raise BadRequest("you must provide a model parameter", "model")
        return _embedding(body, name) if action == "embeddings" else _chat(body, name)

    def answer(self, asked: Asked, answer: Answer, name: str, created_s: int) -> bytes:
        """See `Dialect`."""
        if asked.dimensions is not None:
            return _vectors(asked, answer, name)
        message: dict[str, Any] = {"role": "assistant", "content": answer.text, "refusal": None}
        if answer.calls:
            message["content"] = None
            message["tool_calls"] = _calls(answer, name)
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": FINISH[answer.finish]}
        return orjson.dumps(
            {
                "id": f"chatcmpl-{name}",
                "object": "chat.completion",
                "created": created_s,
                "model": asked.model,
                "choices": [choice],
                "usage": _usage(answer),
                "system_fingerprint": None,
            }
        )

    def stream(
        self, asked: Asked, answer: Answer, name: str, created_s: int, pieces: Iterable[str]
    ) -> Iterator[tuple[bytes, bool]]:
        """See `Dialect`."""
        base = {
            "id": f"chatcmpl-{name}",
            "object": "chat.completion.chunk",
            "created": created_s,
            "model": asked.model,
            "system_fingerprint": None,
        }
        if asked.include_usage:
            base["usage"] = None

        def event(delta: dict[str, Any], finish: str | None = None) -> bytes:
            choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
            return _event({**base, "choices": [choice]})

        yield event({"role": "assistant", "content": None if answer.calls else "", "refusal": None}), False
        for place, call in enumerate(_calls(answer, name)):
            arguments: str = call["function"]["arguments"]
            head = {**call, "index": place, "function": {"name": call["function"]["name"], "arguments": ""}}
            yield event({"tool_calls": [head]}), True
            half = len(arguments) // 2
            for part in (arguments[:half], arguments[half:]):
                yield event({"tool_calls": [{"index": place, "function": {"arguments": part}}]}), True
        for piece in pieces:
            yield event({"content": piece}), True
        yield event({}, FINISH[answer.finish]), False
        if asked.include_usage:
            yield _event({**base, "choices": [], "usage": _usage(answer)}), False
        yield DONE, False

    def refusal(self, refusal: Refusal, name: str) -> tuple[int, bytes]:
        """See `Dialect`."""
        status, error = error_of(refusal)
        return status, orjson.dumps({"error": error})

    def headers(self, requests: Standing | None, tokens: Standing | None, wall_s: float) -> dict[str, str]:
        """See `Dialect`."""
        headers: dict[str, str] = {}
        for kind, standing in (("requests", requests), ("tokens", tokens)):
            if standing is not None:
                headers[f"x-ratelimit-limit-{kind}"] = str(standing.limit)
                headers[f"x-ratelimit-remaining-{kind}"] = str(standing.remaining)
                headers[f"x-ratelimit-reset-{kind}"] = duration(standing.reset_s)
        return headers

    def retry_headers(self, wait_s: float) -> dict[str, str]:
        """See `Dialect`; its client reads the milliseconds first."""
        return {"retry-after": str(ceil(wait_s)), "retry-after-ms": str(ceil(wait_s * 1000))}

    def request_id(self, name: str) -> dict[str, str]:
        """See `Dialect`."""
        return {"x-request-id": f"req_{name}"}

    def models(self, names: list[str]) -> bytes:
        """See `Dialect`."""
        listed = [{"id": name, "object": "model", "created": 1_700_000_000, "owned_by": "simulator"} for name in names]
        return orjson.dumps({"object": "list", "data": listed})


def _chat(body: dict[str, Any], model: str) -> Asked:
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise BadRequest("Missing required parameter: 'messages'.", "messages")
    said: list[dict[str, Any]] = messages
    texts = [text for message in said for text in _texts(message)]
    form = mapping(body.get("response_format"))
    schema: dict[str, Any] | None = (
        form.get("json_schema", {}).get("schema") if form.get("type") == "json_schema" else None
    )
    tools = tuple(_tool(tool) for tool in body.get("tools") or ())
    extra = as_json(body.get("tools"), schema)
    most = body.get("max_completion_tokens", body.get("max_tokens"))
    if most is not None and (not isinstance(most, int) or most < 1):
        raise BadRequest("Invalid 'max_tokens': integer below minimum value. Expected a value >= 1.", "max_tokens")
    return Asked(
        model=model,
        texts=(*texts, *extra),
        last=next((text for message in reversed(said) for text in _texts(message)), ""),
        max_tokens=most,
        schema=schema,
        wants_json=form.get("type") == "json_object",
        tools=tools,
        tool_choice=_choice(body.get("tool_choice")),
        has_tool_result=said[-1].get("role") == "tool",
        stream=bool(body.get("stream")),
        include_usage=bool(mapping(body.get("stream_options")).get("include_usage")),
        body=body,
    )


def _texts(message: dict[str, Any]) -> list[str]:
    """The texts of a message: content as text or parts, and the arguments of tools it called."""
    content: Any = message.get("content")
    parts: list[Any] = content if isinstance(content, list) else [{"text": content}] if content else []
    texts = [str(part["text"]) for part in parts if part.get("text")]
    return texts + [str(call["function"]["arguments"]) for call in message.get("tool_calls") or ()]


def _tool(tool: dict[str, Any]) -> Tool:
    function = tool.get("function")
    if not isinstance(function, dict) or "name" not in function:
        raise BadRequest("Missing required parameter: 'tools[0].function'.", "tools[0].function")
    described: dict[str, Any] = function
    return Tool(name=described["name"], schema=described.get("parameters") or {})


def _choice(choice: Any) -> str:
    if isinstance(choice, dict):
        chosen: dict[str, Any] = choice
        return chosen["function"]["name"]
    return {"required": "any", None: "auto"}.get(choice) or str(choice)


def _embedding(body: dict[str, Any], model: str) -> Asked:
    given: Any = body.get("input")
    texts: list[Any] = given if isinstance(given, list) else [given]
    if not texts or not all(isinstance(text, str) and text for text in texts):
        raise BadRequest("'$.input' is invalid.", "input")
    dimensions = body.get("dimensions") or DIMENSIONS
    return Asked(model=model, texts=tuple(texts), dimensions=dimensions, body=body)


def _vectors(asked: Asked, answer: Answer, name: str) -> bytes:
    """A unit vector for each text, the same for the same text."""
    from deployments.simulator.vectors import as_base64, vector

    as_text = asked.body.get("encoding_format") == "base64"
    vectors = (vector(text, asked.dimensions or DIMENSIONS) for text in asked.texts)
    listed = [
        {"object": "embedding", "index": place, "embedding": as_base64(one) if as_text else one}
        for place, one in enumerate(vectors)
    ]
    usage = {"prompt_tokens": answer.prompt_tokens, "total_tokens": answer.prompt_tokens}
    return orjson.dumps({"object": "list", "data": listed, "model": asked.model, "usage": usage})


def _calls(answer: Answer, name: str) -> list[dict[str, Any]]:
    return [
        {
            "id": f"call_{name}{place}",
            "type": "function",
            "function": {"name": call.name, "arguments": call.arguments},
        }
        for place, call in enumerate(answer.calls)
    ]


def _usage(answer: Answer) -> dict[str, Any]:
    return {
        "prompt_tokens": answer.prompt_tokens,
        "completion_tokens": answer.completion_tokens,
        "total_tokens": answer.total_tokens,
        "prompt_tokens_details": {"cached_tokens": answer.cached_tokens, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": answer.reasoning_tokens, "audio_tokens": 0},
    }


def _event(content: dict[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(content) + b"\n\n"
