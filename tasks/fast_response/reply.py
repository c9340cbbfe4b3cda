"""Quick replies to turns: one, or a file of them."""

import asyncio
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from blocks.errors import C500Error
from blocks.model import Frozen
from tasks.fast_response.asked import FastOptions, ReplyOptions
from tasks.fast_response.call import Call, timed
from tasks.fast_response.prompt import prepared
from tasks.fast_response.quality import Fault, Quality, faults_of, quality
from tasks.fast_response.routes import caller_of, routes_for
from tasks.fast_response.turns import Turn

if TYPE_CHECKING:
    from blocks.accounts.account import Model
    from blocks.accounts.pool import Pool


class Reply(Frozen):
    """The reply to a turn.

    Attributes:
        turn: Id of the turn.
        intent: The turn's.
        reply: What the model said, without blanks around it; empty where it failed.
        faults: What is wrong with it; one with a fault is better not spoken.
        dropped: Utterances at the beginning that there was no room for.
        ttft_ms: Milliseconds until the first token.
        total_ms: Milliseconds until the last token.
        account: Who answered.
        error: Code of the error; None where it was answered.
        message: The error's message.
    """

    turn: str
    intent: str | None = None
    reply: str = ""
    faults: tuple[Fault, ...] = ()
    dropped: int = 0
    ttft_ms: float | None = None
    total_ms: float | None = None
    account: str | None = None
    error: str | None = None
    message: str | None = None

    @property
    def is_usable(self) -> bool:
        """Whether it can be spoken."""
        return self.error is None and not self.faults


class Replies(Frozen):
    """Replies, in the order of the turns, and what they are like."""

    replies: tuple[Reply, ...]
    quality: Quality

    @property
    def failed(self) -> int:
        """Turns without an answer."""
        return sum(one.error is not None for one in self.replies)


async def reply_to(pool: "Pool", turns: Sequence[Turn], asked: ReplyOptions) -> Replies:
    """Have each turn replied to; one that fails has an error, and the others go on.

    Raises:
        Unsupported: no account has such a model.
    """
    models = [route.model for route in routes_for(pool, asked)]
    room = asyncio.Semaphore(asked.concurrency)

    async def one(turn: Turn) -> tuple[Reply, Call]:
        async with room:
            return await _reply(pool, turn, asked, models)

    ended = await asyncio.gather(*(one(turn) for turn in turns))
    return Replies(replies=tuple(reply for reply, _ in ended), quality=quality(call for _, call in ended))


async def fast_reply(pool: "Pool", turn: Turn, asked: FastOptions) -> Reply:
    """The reply to one turn, for a service that keeps a pool open.

    Raises:
        Unsupported: no account has such a model.
    """
    reply, _ = await _reply(pool, turn, asked, [route.model for route in routes_for(pool, asked)])
    return reply


async def _reply(pool: "Pool", turn: Turn, asked: FastOptions, models: "Sequence[Model]") -> tuple[Reply, Call]:
    try:
        ready = prepared(turn, asked, models)
    except C500Error as error:
        failed = Call(turn=turn.id, intent=turn.intent, error=error.code, message=error.message)
        return _reply_of(failed), failed
    now = time.monotonic()
    call = await timed(pool, ready.request, caller_of(asked), turn=turn.id, intent=turn.intent, due=now, began=now)
    return _reply_of(call, ready.dropped), call


def _reply_of(call: Call, dropped: int = 0) -> Reply:
    return Reply(
        turn=call.turn,
        intent=call.intent,
        reply=call.reply.strip(),
        faults=() if call.error else faults_of(call.reply, call.finish_reason),
        dropped=dropped,
        ttft_ms=call.ttft_ms,
        total_ms=call.total_ms,
        account=call.account,
        error=call.error,
        message=call.message,
    )
