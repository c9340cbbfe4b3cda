"""The account pool: finds an account for a call, waits for its limits, sends it, and keeps the books."""

import asyncio
import random
import time
from collections import defaultdict
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from blocks.accounts.account import Accounts
from blocks.accounts.attempt import Attempt
from blocks.accounts.books import Books
from blocks.accounts.cache import Cache, Caches
from blocks.accounts.chat import Answer, Caller, ChatRequest, Headers
from blocks.accounts.dialects.protocol import MALFORMED, Call, Dialect, Piece
from blocks.accounts.dialects.registry import DIALECTS
from blocks.accounts.failure import ACTIONS, Failure
from blocks.accounts.latencies import Latencies
from blocks.accounts.outcome import Outcomes
from blocks.accounts.reserve import Grant, Groups, Reserver
from blocks.accounts.routes import (
    budgets_of,
    candidates,
    counter,
    is_affordable,
    plan,
    routes_of,
    too_long,
    unpriced,
)
from blocks.accounts.secrets import Secrets
from blocks.accounts.streamed import Streamed
from blocks.accounts.unserved import failed, late
from blocks.accounts.wire import Wire
from blocks.errors import BadInput, C500Error
from blocks.limits.protocol import Limiter

BACKOFF_S = 0.5
LONGEST_BACKOFF_S = 20.0
"""Full jitter (Brooker, «Exponential Backoff And Jitter», AWS 2015): a random wait up to twice the last, up to this."""

UNREAD_REST_S = 5.0
"""How long an account whose key cannot be read gets no calls. Short: nobody waits long for a key that is put right."""


class Pool:
    """All accounts as one model.

    Args:
        accounts: What `accounts.yaml` says.
        limiter: Shared by all who use the accounts.
        books: Where calls are entered.
        secrets: The accounts' keys.
        cache: Earlier answers; None for none.
    """

    def __init__(
        self, accounts: Accounts, limiter: Limiter, books: Books, secrets: Secrets, cache: Cache | None = None
    ) -> None:
        self.accounts, self.limiter, self.books, self.secrets = accounts, limiter, books, secrets
        self.routes = routes_of(accounts)
        self.reserver = Reserver(limiter, lambda: self.accounts.routing)
        self.traffic = self.reserver.traffic
        self.wire = Wire()
        self._outcomes = Outcomes(limiter, books, self.reserver, secrets)
        self._latencies: dict[str, Latencies] = defaultdict(Latencies)
        self._caches = Caches(cache, books) if cache else None

    async def complete(self, request: ChatRequest, caller: Caller | None = None) -> Answer:
        """Have a request answered.

        Args:
            request: What is asked.
            caller: For whom.

        Raises:
            TooLarge: it fits no model; the error says by how much.
            BudgetExceeded: it would pass a budget, or a price is unknown where one applies.
            LimitReached: the limits leave no room before the deadline.
            TimedOut: the deadline passed.
            EngineUnavailable: all attempts failed, or no account works; `details["failures"]` says how.
            EngineFailed: the provider refuses the content.
            BadInput: the provider does not understand the request.
            Unsupported: there is no such model.
        """
        attempt = Attempt(caller or Caller())
        async with _deadline(attempt):
            if self._caches and attempt.caller.cache_ttl_s:
                return await self._caches.answer(request, attempt.caller, lambda: self._answer(request, attempt))
            return await self._answer(request, attempt)

    async def stream(self, request: ChatRequest, caller: Caller | None = None) -> AsyncGenerator[Piece | Answer]:
        """Have a request answered piece by piece; the whole answer comes last.

        A call that breaks off before its first piece is sent again; one that breaks off later is an error. A request
        with a schema comes in one piece.

        Raises:
            As `complete`.
        """
        attempt = Attempt(caller or Caller())
        if request.response_schema is not None:
            answer = await self.complete(request, caller)
            reply = answer.reply
            calls = tuple({"index": number, **call} for number, call in enumerate(reply.tool_calls))
            yield Piece(text=reply.text, tool_calls=calls, finish_reason=reply.finish_reason)
            yield answer
            return
        groups = self._plans(request, attempt.caller)
        while True:
            async with _deadline(attempt):
                grant = await self.reserver.reserve(groups, attempt)
            running = self._streamed(grant, attempt)
            try:
                async for piece in running:
                    yield piece
                return
            except Failure as failure:
                if running.has_begun or not ACTIONS[failure.kind].retries:
                    raise failed(attempt) from None
            finally:
                await running.close()
            async with _deadline(attempt):
                groups = await self._back_off(attempt, groups)

    async def send(self, grant: Grant, attempt: Attempt, longest_s: float | None = None) -> tuple[Answer, Headers]:
        """Send a call that was granted, once; whatever becomes of it is settled and entered in the books.

        Args:
            grant: What it may use.
            attempt: The call; takes note of a failure.
            longest_s: How long it may take, in seconds; by default as long as its account allows.

        Raises:
            Failure: it did not succeed.
            BadInput: the provider has no form for a message; nothing was sent.
        """
        start, account = time.monotonic(), grant.plan.route.account
        self.traffic.in_flight += 1
        try:
            dialect, call = await self._encoded(grant, attempt, stream=False)
            response = await self.wire.send(dialect, call, longest_s or account.timeout_s)
        except Failure as failure:
            await asyncio.shield(self._outcomes.failed(grant, attempt, failure, time.monotonic() - start))
            raise
        except C500Error:
            await self._outcomes.unsent(grant)
            raise
        except BaseException:
            await asyncio.shield(self._outcomes.cancelled(grant, attempt, time.monotonic() - start))
            raise
        finally:
            self.traffic.in_flight -= 1
        latency_s = time.monotonic() - start
        answer = await self._outcomes.succeeded(grant, attempt, response.reply, response.headers, latency_s)
        return answer, response.headers

    async def close(self) -> None:
        """Write the books and close all connections."""
        if self._caches:
            await self._caches.close()
        await self.wire.close()
        await asyncio.to_thread(self.books.close)
        await self.limiter.close()

    async def _answer(self, request: ChatRequest, attempt: Attempt) -> Answer:
        groups = self._plans(request, attempt.caller)
        while True:
            grant = await self.reserver.reserve(groups, attempt)
            hedge_s = self._latencies[grant.plan.route.name].p95_s if self.accounts.routing.hedge else None
            if hedge_s is None:
                answer = await self._try(grant, attempt)
            else:
                answer = await self._hedged(grant, groups, attempt, hedge_s)
            if answer is not None:
                return answer
            groups = await self._back_off(attempt, groups)

    def _plans(self, request: ChatRequest, caller: Caller) -> Groups:
        """The ways to make the call, in groups as `candidates` gives them."""
        groups = candidates(self.routes, self.accounts, request, caller)
        tokens = counter(request)
        budgets = budgets_of(self.accounts, caller)
        made = [[plan(route, request, tokens(route.model), budgets) for route in group] for group in groups]
        fitting = [[one for one in group if one is not None] for group in made]
        if not any(fitting):
            raise too_long(request, [route for group in groups for route in group])
        affordable = [[one for one in group if is_affordable(one.route, self.accounts, caller)] for group in fitting]
        if not any(affordable):
            raise unpriced(one.route.name for group in fitting for one in group)
        return [group for group in affordable if group]

    async def _try(self, grant: Grant, attempt: Attempt) -> Answer | None:
        """Send the call. None when it failed and may be sent again."""
        start = time.monotonic()
        try:
            answer, _ = await self.send(grant, attempt)
        except Failure as failure:
            if not ACTIONS[failure.kind].retries:
                raise failed(attempt) from None
            return None
        finally:
            grant.room.freed()
        self._latencies[grant.plan.route.name].add(time.monotonic() - start)
        return answer

    async def _hedged(self, grant: Grant, groups: Groups, attempt: Attempt, after_s: float) -> Answer | None:
        """Send the call, and a second time elsewhere when it takes long; the first answer wins."""
        running = {asyncio.create_task(self._try(grant, attempt))}
        try:
            done, _ = await asyncio.wait(running, timeout=after_s)
            if not done and attempt.sent < self.accounts.routing.attempts:
                second = await self.reserver.reserve_now(groups, attempt, other_than=grant.plan.route)
                if second is not None:
                    running.add(asyncio.create_task(self._try(second, attempt)))
            while running:
                done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    if (answer := task.result()) is not None:
                        return answer
            return None
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    def _streamed(self, grant: Grant, attempt: Attempt) -> Streamed:
        async def encoded() -> tuple[Dialect, Call]:
            return await self._encoded(grant, attempt, stream=True)

        return Streamed(grant, attempt, self.wire, self._outcomes, encoded)

    async def _encoded(self, grant: Grant, attempt: Attempt, *, stream: bool) -> tuple[Dialect, Call]:
        """The request, ready to be sent.

        Raises:
            Failure: the account's key cannot be read.
            BadInput: the provider has no form for a message.
        """
        route = grant.plan.route
        try:
            secret = await self.secrets.secret(route.account)
        except C500Error as error:
            raise Failure(kind="auth", message=error.message, retry_after_s=UNREAD_REST_S, error=error) from error
        dialect = DIALECTS[route.account.dialect]
        request = grant.plan.request.model_copy(update={"max_output_tokens": grant.plan.output_tokens})
        try:
            call = dialect.encode(route.account, route.name, route.model, request, secret, stream)
        except MALFORMED as error:
            raise BadInput(
                f"a message cannot be put in the form that {route.name} takes: {error!r}"[:300],
                fix="write messages in the form of OpenAI's chat completions",
                field="messages",
            ) from error
        attempt.sent += 1
        return dialect, call

    async def _back_off(self, attempt: Attempt, groups: Groups) -> Groups:
        """Wait before the next attempt; an account that was not tried yet is tried at once.

        Returns:
            The ways that are left: those of accounts whose key cannot be read are not.

        Raises:
            TimedOut: the deadline passed.
            EngineUnavailable, LimitReached: there were attempts enough.
        """
        # A provider's time-out may come at the very moment of the deadline, and take its place.
        if attempt.left_s == 0:
            raise late(attempt)
        unread = {route.account.name for route, failure in attempt.failures if not failure.is_sent}
        ways = [[one for one in group if one.route.account.name not in unread] for group in groups]
        ways = [group for group in ways if group]
        if attempt.sent >= self.accounts.routing.attempts or not ways:
            raise failed(attempt)
        tried = [route.key for route, _ in attempt.failures]
        if tried.count(tried[-1]) > 1:
            longest_s = min(LONGEST_BACKOFF_S, BACKOFF_S * 2 ** len(tried))
            await asyncio.sleep(random.uniform(0, longest_s))  # noqa: S311 - jitter
        return ways


@asynccontextmanager
async def _deadline(attempt: Attempt) -> AsyncGenerator[None]:
    """End what runs at the deadline."""
    if attempt.timeout_s is None:
        yield
        return
    try:
        async with asyncio.timeout(attempt.timeout_s):
            yield
    except TimeoutError:
        raise late(attempt) from None
