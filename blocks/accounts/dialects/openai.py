"""OpenAI's chat completions, as DeepSeek, Qwen, Kimi, vLLM and many more speak it too.

Source: platform.openai.com/docs/api-reference/chat and …/guides/rate-limits.
"""

import re
from collections.abc import Mapping
from typing import Any

from blocks.accounts.account import Account, Model
from blocks.accounts.chat import ChatReply, ChatRequest, FinishReason, Headers, Message, TokenUsage
from blocks.accounts.dialects.protocol import EXTRA, MALFORMED, Call, Learned, Piece
from blocks.accounts.dialects.refusals import as_dict, kind_of, may_have_run, said
from blocks.accounts.failure import Failure

FINISHED: dict[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}


class OpenAI:
    """See `Dialect`."""

    def encode(
        self, account: Account, name: str, model: Model, request: ChatRequest, secret: str, stream: bool
    ) -> Call:
        """See `Dialect`."""
        messages = _own(request.messages) if account.provider == "openai" else list(request.messages)
        body: dict[str, Any] = {"model": model.name or name, "messages": messages, **request.more}
        body[model.max_tokens_field] = request.max_output_tokens
        if request.temperature is not None:
            body["temperature"] = request.temperature
        if request.response_schema is not None:
            body["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": "answer", "schema": request.response_schema},
            }
        if request.tools:
            body["tools"] = list(request.tools)
            if request.tool_choice is not None:
                body["tool_choice"] = request.tool_choice
        if request.stop:
            body["stop"] = list(request.stop)
        if request.seed is not None:
            body["seed"] = request.seed
        if stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        headers = {"authorization": f"Bearer {secret}"} if secret else {}
        return Call(url=f"{account.url}/chat/completions", headers=headers, body=body, secret=secret)

    def decode(self, body: Any) -> ChatReply:
        """See `Dialect`."""
        try:
            choice: dict[str, Any] = body["choices"][0]
            message: dict[str, Any] = choice["message"]
            return ChatReply(
                text=message.get("content") or "",
                tool_calls=tuple(message.get("tool_calls") or ()),
                finish_reason=FINISHED.get(choice.get("finish_reason") or "stop", "stop"),
                usage=_usage(body.get("usage")) or TokenUsage(),
                is_estimate=not body.get("usage"),
                refusal=message.get("refusal"),
            )
        except MALFORMED as error:
            raise ValueError("the answer is no chat completion") from error

    def piece(self, event: Any) -> Piece | None:
        """See `Dialect`."""
        choices: list[dict[str, Any]] = event.get("choices") or []
        usage = _usage(event.get("usage"))
        if not choices:
            return Piece(usage=usage) if usage else None
        delta: dict[str, Any] = choices[0].get("delta") or {}
        ended = choices[0].get("finish_reason")
        return Piece(
            text=delta.get("content") or "",
            tool_calls=tuple(delta.get("tool_calls") or ()),
            finish_reason=FINISHED.get(ended, "stop") if ended else None,
            usage=usage,
        )

    def failure(self, status: int, headers: Headers, body: Any) -> Failure:
        """See `Dialect`."""
        error = as_dict(as_dict(body).get("error"))
        message = str(error.get("message") or said(body))
        return Failure(
            kind=kind_of(status, message, (error.get("code"), error.get("type"))),
            message=message[:300],
            status=status,
            retry_after_s=retry_after_s(headers),
            reached=may_have_run(status),
        )

    def learned(self, headers: Headers) -> Mapping[str, Learned]:
        """See `Dialect`."""
        return learned(
            headers, {"rpm": "requests", "tpm": "tokens"}, "x-ratelimit-limit-{}", "x-ratelimit-remaining-{}"
        )


def _own(messages: tuple[Message, ...]) -> list[Message]:
    """The messages without what Gemini added to its tool calls: OpenAI refuses fields that it does not know."""
    return [
        message | {"tool_calls": [{key: call[key] for key in call if key != EXTRA} for call in message["tool_calls"]]}
        if message.get("tool_calls")
        else message
        for message in messages
    ]


def learned(headers: Headers, fields: Mapping[str, str], limit: str, remaining: str) -> dict[str, Learned]:
    """What headers of such names say.

    Args:
        headers: Of a response.
        fields: What the headers call a field of `Quota`.
        limit: Pattern of the header with the most there may be.
        remaining: Pattern of the header with what is left.
    """
    found: dict[str, Learned] = {}
    for field, word in fields.items():
        amount, left = _number(headers.get(limit.format(word))), _number(headers.get(remaining.format(word)))
        if amount is not None or left is not None:
            found[field] = Learned(amount=amount, remaining=left)
    return found


def retry_after_s(headers: Headers) -> float | None:
    """Seconds to wait, by `Retry-After-Ms`, `Retry-After` or the longest reset of a limit that is used up."""
    if (ms := headers.get("retry-after-ms")) and re.fullmatch(r"\d+(\.\d+)?", ms):
        return float(ms) / 1000
    if (seconds := headers.get("retry-after")) and re.fullmatch(r"\d+(\.\d+)?", seconds):
        return float(seconds)
    resets = [
        _duration_s(headers.get(f"x-ratelimit-reset-{word}", ""))
        for word in ("requests", "tokens")
        if headers.get(f"x-ratelimit-remaining-{word}") == "0"
    ]
    return max((reset for reset in resets if reset is not None), default=None)


def _duration_s(text: str) -> float | None:
    """`6m0s`, `1h2m3.5s` or `250ms` in seconds."""
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|h|m|s)", text)
    unit = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
    return sum(float(number) * unit[name] for number, name in parts) if parts else None


def _number(text: str | None) -> int | None:
    return int(text) if text and len(text) <= 15 and text.isdecimal() else None


def _usage(used: Any) -> TokenUsage | None:
    if not used:
        return None
    details = as_dict(used.get("prompt_tokens_details"))
    cached: Any = details.get("cached_tokens") or used.get("prompt_cache_hit_tokens")  # DeepSeek's name for it
    return TokenUsage(
        prompt_tokens=used.get("prompt_tokens") or 0,
        completion_tokens=used.get("completion_tokens") or 0,
        cached_tokens=cached or 0,
    )
