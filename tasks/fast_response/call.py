"""One reply, streamed through the account pool, with the times that its caller saw."""

import time
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from blocks.accounts.chat import Answer, Caller, ChatRequest
from blocks.errors import C500Error
from blocks.model import Frozen

if TYPE_CHECKING:
    from blocks.accounts.pool import Pool


class Call(Frozen):
    """What became of one request; times in milliseconds from when it was due, by the monotonic clock.

    Attributes:
        turn: Id of the turn.
        intent: The turn's.
        reply: What the model said.
        due_s: When it was due, in seconds since the loop began.
        ttft_ms: Until the first token that has text; None where there was none.
        total_ms: Until the last token, or its end; None where it failed.
        tokens: Of the reply, as the server counts.
        prompt_tokens: Of the prompt.
        cached_tokens: Of those, what the server still had from an earlier prompt.
        is_estimate: Whether the server did not count them.
        finish_reason: Why the reply ended.
        account: Who answered.
        attempts: How often it was sent.
        waited_ms: How long it waited for our own limits.
        error: Code of the error; None where it was answered.
        message: The error's message.
    """

    turn: str
    intent: str | None = None
    reply: str = ""
    due_s: float = 0.0
    ttft_ms: float | None = None
    total_ms: float | None = None
    tokens: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    is_estimate: bool = False
    finish_reason: str | None = None
    account: str | None = None
    attempts: int = 0
    waited_ms: float = 0.0
    error: str | None = None
    message: str | None = None


async def timed(
    pool: "Pool", request: ChatRequest, caller: Caller, *, turn: str, intent: str | None, due: float, began: float
) -> Call:
    """Have a request answered, and note when.

    Args:
        pool: The accounts.
        request: What is asked.
        caller: For whom.
        turn: Id of the turn.
        intent: The turn's.
        due: When the request should have been sent, monotonic seconds: what it waits since then is part of its time.
        began: When the loop began.
    """
    asked = Call(turn=turn, intent=intent, due_s=due - began)
    first = last = None
    answer: Answer | None = None
    try:
        async with aclosing(pool.stream(request, caller)) as pieces:
            async for piece in pieces:
                if isinstance(piece, Answer):
                    answer = piece
                elif piece.text or piece.finish_reason:
                    last = time.monotonic()
                    first = first or (last if piece.text else None)
    except C500Error as error:
        return asked.model_copy(update={"error": error.code, "message": error.message[:300]})
    if answer is None or last is None:
        return asked.model_copy(update={"error": "ENGINE_FAILED", "message": "the stream was empty"})
    times = {"ttft_ms": None if first is None else 1000 * (first - due), "total_ms": 1000 * (last - due)}
    return asked.model_copy(update={**_said(answer), **times})


def _said(answer: Answer) -> dict[str, Any]:
    """What an answer tells, by the fields of a call."""
    usage = answer.reply.usage
    return {
        "reply": answer.reply.text,
        "tokens": usage.completion_tokens,
        "prompt_tokens": usage.prompt_tokens,
        "cached_tokens": usage.cached_tokens,
        "is_estimate": answer.reply.is_estimate,
        "finish_reason": answer.reply.finish_reason,
        "account": answer.account,
        "attempts": answer.attempts,
        "waited_ms": 1000 * answer.waited_s,
    }
