"""Answers of the account pool in OpenAI's form, whole or in pieces."""

import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from blocks.accounts.chat import Answer, FinishReason, TokenUsage
from blocks.accounts.dialects.protocol import Piece

WHOLE = "chat.completion"
CHUNK = "chat.completion.chunk"


def completion(answer: Answer) -> dict[str, Any]:
    """A whole answer; `c500` says where it came from and what it cost."""
    reply = answer.reply
    message: dict[str, Any] = {
        "role": "assistant",
        "content": reply.text or (None if reply.tool_calls or reply.refusal else ""),
        "refusal": reply.refusal,
    }
    if reply.tool_calls:
        message["tool_calls"] = list(reply.tool_calls)
    return {
        "id": _new_id(),
        "object": WHOLE,
        "created": int(time.time()),
        "model": answer.model,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": reply.finish_reason}],
        "usage": usage_of(reply.usage),
        "c500": _provenance(answer),
    }


def usage_of(usage: TokenUsage) -> dict[str, Any]:
    """Tokens in OpenAI's form."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
    }


@dataclass
class Chunks:
    """The chunks of one streamed answer.

    Args:
        model: As the request names it: which model answers is known at the end, and OpenAI's clients want one name.
        include_usage: Whether the last chunk tells the tokens.
    """

    model: str
    include_usage: bool
    _id: str = field(default_factory=lambda: _new_id())
    _created: int = field(default_factory=lambda: int(time.time()))
    _finished: bool = False

    def first(self) -> dict[str, Any]:
        """The chunk before all pieces."""
        return self._chunk({"role": "assistant", "content": "", "refusal": None})

    def of(self, item: Piece | Answer) -> Iterator[dict[str, Any]]:
        """The chunks of a piece, or those that end the answer."""
        if isinstance(item, Answer):
            yield from self._last(item)
            return
        delta: dict[str, Any] = {"content": item.text} if item.text else {}
        if item.tool_calls:
            delta["tool_calls"] = list(item.tool_calls)
        if delta:
            yield self._chunk(delta)
        if item.finish_reason is not None and not self._finished:
            self._finished = True
            yield self._chunk({}, item.finish_reason)

    def _last(self, answer: Answer) -> Iterator[dict[str, Any]]:
        if not self._finished:
            yield self._chunk({}, answer.reply.finish_reason)
        if self.include_usage:
            usage = usage_of(answer.reply.usage)
            yield {**self._head(), "choices": [], "usage": usage, "c500": _provenance(answer)}

    def _chunk(self, delta: dict[str, Any], finish_reason: FinishReason | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return {**self._head(), "choices": [choice]} | ({"usage": None} if self.include_usage else {})

    def _head(self) -> dict[str, Any]:
        return {"id": self._id, "object": CHUNK, "created": self._created, "model": self.model}


def _new_id() -> str:
    return f"chatcmpl-{uuid.uuid4().hex}"


def _provenance(answer: Answer) -> dict[str, Any]:
    return {
        "model": answer.model,
        "cost_usd": answer.cost_usd,
        "waited_s": round(answer.waited_s, 3),
        "attempts": answer.attempts,
        "cached": answer.cached,
        "is_estimate": answer.reply.is_estimate,
    }
