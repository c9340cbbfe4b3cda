"""Anthropic's Messages API, version 2023-06-01.

Source: platform.claude.com/docs/en/api/messages, …/api/rate-limits and …/build-with-claude/streaming.
"""

import json
from collections.abc import Mapping
from typing import Any

from blocks.accounts.account import Account, Model
from blocks.accounts.chat import (
    ChatReply,
    ChatRequest,
    FinishReason,
    Headers,
    Message,
    TokenUsage,
    arguments_of,
    message_text,
)
from blocks.accounts.dialects.openai import learned, retry_after_s
from blocks.accounts.dialects.protocol import MALFORMED, Call, Learned, Piece
from blocks.accounts.dialects.refusals import as_dict, kind_of, may_have_run, said
from blocks.accounts.failure import Failure

FINISHED: dict[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}

SCHEMA_TOOL = "answer"
"""A schema is asked for as a tool that the model must call: so every version of the API takes it."""


class Anthropic:
    """See `Dialect`."""

    def encode(
        self, account: Account, name: str, model: Model, request: ChatRequest, secret: str, stream: bool
    ) -> Call:
        """See `Dialect`."""
        body: dict[str, Any] = {
            "model": model.name or name,
            "max_tokens": request.max_output_tokens,
            "messages": _messages(request.messages),
            **request.more,
        }
        if system := "\n\n".join(
            message_text(one) for one in request.messages if one["role"] in ("system", "developer")
        ):
            body["system"] = system
        if request.temperature is not None:
            body["temperature"] = min(1.0, request.temperature)
        if request.stop:
            body["stop_sequences"] = list(request.stop)
        tools = [_tool(tool["function"]) for tool in request.tools]
        if request.response_schema is not None:
            tools.append(
                {"name": SCHEMA_TOOL, "description": "Give the answer.", "input_schema": request.response_schema}
            )
            body["tool_choice"] = {"type": "any"} if request.tools else {"type": "tool", "name": SCHEMA_TOOL}
        elif request.tools and request.tool_choice is not None:
            body["tool_choice"] = _tool_choice(request.tool_choice)
        if tools:
            body["tools"] = tools
        if stream:
            body["stream"] = True
        headers = {"anthropic-version": "2023-06-01"} | ({"x-api-key": secret} if secret else {})
        return Call(url=f"{account.url}/messages", headers=headers, body=body, secret=secret)

    def decode(self, body: Any) -> ChatReply:
        """See `Dialect`."""
        try:
            blocks: list[dict[str, Any]] = body["content"]
            usage = _usage(body.get("usage"))
            answers = [block for block in blocks if block["type"] == "tool_use" and block["name"] == SCHEMA_TOOL]
            calls = [block for block in blocks if block["type"] == "tool_use" and block["name"] != SCHEMA_TOOL]
            text = "".join(block["text"] for block in blocks if block["type"] == "text")
            ended = FINISHED.get(body.get("stop_reason") or "end_turn", "stop")
        except MALFORMED as error:
            raise ValueError("the answer is no message") from error
        return ChatReply(
            text=json.dumps(answers[0]["input"], ensure_ascii=False) if answers else text,
            tool_calls=tuple(_call(block["id"], block["name"], json.dumps(block["input"])) for block in calls),
            finish_reason="stop" if answers and not calls and ended == "tool_calls" else ended,
            usage=usage or TokenUsage(),
            is_estimate=usage is None,
        )

    def piece(self, event: Any) -> Piece | None:
        """See `Dialect`."""
        kind = event.get("type")
        if kind == "message_start":
            return Piece(usage=_usage(event["message"].get("usage")))
        if kind == "message_delta":
            return Piece(
                finish_reason=FINISHED.get(event["delta"].get("stop_reason") or "end_turn", "stop"),
                usage=_usage(event.get("usage")),
            )
        if kind == "content_block_start" and event["content_block"]["type"] == "tool_use":
            block = event["content_block"]
            return Piece(tool_calls=({"index": event["index"], **_call(block["id"], block["name"], "")},))
        if kind == "content_block_delta":
            delta = event["delta"]
            if delta["type"] == "text_delta":
                return Piece(text=delta["text"])
            if delta["type"] == "input_json_delta":
                return Piece(tool_calls=({"index": event["index"], "function": {"arguments": delta["partial_json"]}},))
        return None

    def failure(self, status: int, headers: Headers, body: Any) -> Failure:
        """See `Dialect`."""
        error = as_dict(as_dict(body).get("error"))
        message = str(error.get("message") or said(body))
        return Failure(
            kind=kind_of(status, message, (error.get("type"),)),
            message=message[:300],
            status=status,
            retry_after_s=retry_after_s(headers),
            reached=may_have_run(status),
        )

    def learned(self, headers: Headers) -> Mapping[str, Learned]:
        """See `Dialect`. Its token limits count sent and answered apart; `tokens` is the tighter of the two."""
        pattern = "anthropic-ratelimit-{}-"
        return learned(headers, {"rpm": "requests", "tpm": "tokens"}, f"{pattern}limit", f"{pattern}remaining")


def _messages(messages: tuple[Message, ...]) -> list[dict[str, Any]]:
    """Turns of user and assistant; answers of tools are the user's."""
    turns: list[dict[str, Any]] = []
    for message in messages:
        if message["role"] in ("system", "developer"):
            continue
        role = "assistant" if message["role"] == "assistant" else "user"
        blocks = _blocks(message)
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        else:
            turns.append({"role": role, "content": blocks})
    return turns


def _blocks(message: Message) -> list[dict[str, Any]]:
    if message["role"] == "tool":
        return [{"type": "tool_result", "tool_use_id": message["tool_call_id"], "content": message_text(message)}]
    content: Any = message.get("content")
    parts: list[dict[str, Any]] = [{"type": "text", "text": content}] if isinstance(content, str) else content or []
    blocks = [_image(part) if part["type"] == "image_url" else part for part in parts if part.get("text") != ""]
    for call in message.get("tool_calls") or ():
        function = call["function"]
        blocks.append(
            {
                "type": "tool_use",
                "id": call["id"],
                "name": function["name"],
                "input": arguments_of(call),
            }
        )
    return blocks


def _image(part: dict[str, Any]) -> dict[str, Any]:
    url: str = part["image_url"]["url"]
    if url.startswith("data:"):
        media_type, data = url.removeprefix("data:").split(";base64,", 1)
        return {"type": "image", "source": {"type": "base64", "media_type": media_type, "data": data}}
    return {"type": "image", "source": {"type": "url", "url": url}}


def _tool(function: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": function["name"],
        "description": function.get("description", ""),
        "input_schema": function.get("parameters") or {"type": "object", "properties": {}},
    }


def _tool_choice(choice: str | dict[str, Any]) -> dict[str, Any]:
    if isinstance(choice, dict):
        return {"type": "tool", "name": choice["function"]["name"]}
    return {"type": {"required": "any"}.get(choice, choice)}


def _call(call_id: str, name: str, arguments: str) -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def _usage(used: Any) -> TokenUsage | None:
    """Anthropic counts what its cache had beside `input_tokens`, not within."""
    if not used:
        return None
    cached = used.get("cache_read_input_tokens") or 0
    written = used.get("cache_creation_input_tokens") or 0
    return TokenUsage(
        prompt_tokens=(used.get("input_tokens") or 0) + cached + written,
        completion_tokens=used.get("output_tokens") or 0,
        cached_tokens=cached,
    )
