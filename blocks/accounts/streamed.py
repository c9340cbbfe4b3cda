"""One streamed call, from its first piece to its settling, however it ends."""

import asyncio
import math
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any, TypeVar

from blocks.accounts.attempt import Attempt
from blocks.accounts.chat import Answer, ChatReply, FinishReason, TokenUsage
from blocks.accounts.dialects.protocol import EXTRA, Call, Dialect, Piece
from blocks.accounts.failure import Failure
from blocks.accounts.outcome import Outcomes
from blocks.accounts.reserve import MARGIN_S, Grant
from blocks.accounts.unserved import late
from blocks.accounts.wire import Pieces, Wire
from blocks.errors import C500Error
from blocks.limits.protocol import LEASE_S

T = TypeVar("T")

EXTEND_EVERY_S = LEASE_S / 4


class Streamed:
    """A streamed call.

    Args:
        grant: What it may use.
        attempt: The call it is an attempt of.
        wire: What sends it.
        outcomes: What is done when it ends.
        encoded: Gives the HTTP request.

    Attributes:
        has_begun: Whether a piece has been given: then it cannot be sent again.
    """

    def __init__(
        self,
        grant: Grant,
        attempt: Attempt,
        wire: Wire,
        outcomes: Outcomes,
        encoded: Callable[[], Awaitable[tuple[Dialect, Call]]],
    ) -> None:
        self._grant, self._attempt, self._wire, self._outcomes = grant, attempt, wire, outcomes
        self._encoded = encoded
        self._started = time.monotonic()
        self._is_sent = self._is_settled = False
        self._text: list[str] = []
        self._calls: dict[int, dict[str, Any]] = {}
        self._finish: FinishReason = "stop"
        self._usage: TokenUsage | None = None
        self.has_begun = False

    async def __aiter__(self) -> AsyncGenerator[Piece | Answer]:
        """The pieces, and the whole answer at last. Raises `Failure`, `TimedOut`."""
        try:
            dialect, call = await self._encoded()
            self._is_sent = True
            timeout_s = self._grant.plan.route.account.timeout_s
            async with AsyncExitStack() as stack:
                stack.callback(asyncio.create_task(self._extend(timeout_s)).cancel)
                pieces = await self._before_deadline(
                    stack.enter_async_context(self._wire.stream(dialect, call, timeout_s))
                )
                async for piece in self._in_time(pieces, timeout_s):
                    self._keep(piece)
                    self.has_begun = self.has_begun or bool(piece.text or piece.tool_calls)
                    yield piece
            self._is_settled = True  # before it is: who is cancelled meanwhile does not settle it again
            yield await self._outcomes.succeeded(
                self._grant, self._attempt, self._reply(), pieces.headers, time.monotonic() - self._started
            )
        except Failure as failure:
            self._is_settled = True
            latency_s = time.monotonic() - self._started
            await asyncio.shield(self._outcomes.failed(self._grant, self._attempt, failure, latency_s))
            raise
        except C500Error:
            if not self._is_sent:
                self._is_settled = True
                await self._outcomes.unsent(self._grant)
            raise
        finally:
            await asyncio.shield(self.close())

    async def close(self) -> None:
        """Settle a call that was left before its end."""
        if not self._is_settled:
            self._is_settled = True
            await self._outcomes.cancelled(self._grant, self._attempt, time.monotonic() - self._started)
        self._grant.room.freed()

    async def _extend(self, timeout_s: float) -> None:
        """Keep the reservation as long as the stream runs, however seldom its pieces come."""
        while True:
            await asyncio.sleep(EXTEND_EVERY_S)
            await self._outcomes.extend(self._grant, max(LEASE_S, timeout_s + MARGIN_S))

    async def _in_time(self, pieces: Pieces, timeout_s: float) -> AsyncGenerator[Piece]:
        """The pieces, as long as the deadline has not passed.

        The socket has a timeout as well; but lines that only keep the connection alive, as DeepSeek's, put that off.
        """
        coming = aiter(pieces)
        while True:
            try:
                piece = await self._before_deadline(anext(coming), timeout_s)
            except StopAsyncIteration:
                return
            yield piece

    async def _before_deadline(self, work: Awaitable[T], longest_s: float = math.inf) -> T:
        """Wait for it.

        Raises:
            TimedOut: the deadline of the call passed.
            TimeoutError: the server took too long; the wire makes a failure of it.
        """
        left_s = self._attempt.left_s
        limit_s = min(left_s, longest_s)
        limit = asyncio.timeout(None if math.isinf(limit_s) else limit_s)
        try:
            async with limit:
                return await work
        except TimeoutError:
            if limit.expired() and left_s <= longest_s:
                raise late(self._attempt) from None
            raise

    def _keep(self, piece: Piece) -> None:
        self._text.append(piece.text)
        self._finish = piece.finish_reason or self._finish
        if piece.usage is not None:
            before = self._usage or TokenUsage()
            # Anthropic tells the prompt's tokens at the start and the answer's at the end; the last word counts.
            self._usage = TokenUsage(
                prompt_tokens=piece.usage.prompt_tokens or before.prompt_tokens,
                completion_tokens=piece.usage.completion_tokens or before.completion_tokens,
                cached_tokens=piece.usage.cached_tokens or before.cached_tokens,
            )
        for delta in piece.tool_calls:
            call = self._calls.setdefault(delta.get("index", 0), {"id": "", "name": "", "arguments": ""})
            call["id"] = delta.get("id") or call["id"]
            call[EXTRA] = delta.get(EXTRA) or call.get(EXTRA)
            function = delta.get("function") or {}
            call["name"] = function.get("name") or call["name"]
            call["arguments"] += function.get("arguments") or ""

    def _reply(self) -> ChatReply:
        calls = tuple(
            {"id": call["id"], "type": "function", "function": {"name": call["name"], "arguments": call["arguments"]}}
            | ({EXTRA: call[EXTRA]} if call[EXTRA] else {})
            for call in self._calls.values()
        )
        return ChatReply(
            text="".join(self._text),
            tool_calls=calls,
            finish_reason=self._finish,
            usage=self._usage or TokenUsage(),
            is_estimate=self._usage is None,
        )
