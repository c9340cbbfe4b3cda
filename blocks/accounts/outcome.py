"""After a call: its limits settled, its account's health noted, the books written."""

import time
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field

import structlog

from blocks.accounts.attempt import Attempt
from blocks.accounts.books import Books, Entry, Outcome
from blocks.accounts.chat import Answer, Caller, ChatReply, Headers, TokenUsage
from blocks.accounts.dialects.protocol import Learned
from blocks.accounts.dialects.registry import DIALECTS
from blocks.accounts.failure import ACTIONS, Failure
from blocks.accounts.reserve import Grant, Reserver
from blocks.accounts.routes import Plan, Route, in_dollars, used_of
from blocks.accounts.secrets import Secrets
from blocks.errors import EngineUnavailable
from blocks.limits.limit import Limit
from blocks.limits.protocol import Limiter

log = structlog.stdlib.get_logger("c500")


@dataclass(frozen=True)
class Outcomes:
    """What is done when calls end, well or not.

    First what takes no time, the books above all: whoever waits for the rest may be cancelled meanwhile. A limiter that
    is away fails no call; the lease ends, and all that was reserved counts as used.
    """

    limiter: Limiter
    books: Books
    reserver: Reserver
    secrets: Secrets
    _told: dict[str, int] = field(default_factory=dict[str, int])
    """What headers said last of a limit, by its key."""

    async def succeeded(
        self, grant: Grant, attempt: Attempt, reply: ChatReply, headers: Headers, latency_s: float
    ) -> Answer:
        """The call was answered."""
        plan, route = grant.plan, grant.plan.route
        route.breaker.succeed()
        route.fault = None
        self.reserver.traffic.answered()
        route.took(latency_s)
        usage = _counted(plan, reply)
        price = route.model.price
        cost = price.cost_units(usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens) if price else None
        self.enter(plan, attempt.caller, "ok", usage, cost, latency_s, is_estimate=reply.is_estimate)
        await self._tried(route, self.limiter.settle(grant.reservation, used_of(plan.option, usage.total, cost or 0)))
        await self._learn(route, DIALECTS[route.account.dialect].learned(headers))
        return Answer(
            reply=reply.model_copy(update={"usage": usage}),
            model=route.name,
            account=route.account.name,
            cost_usd=in_dollars(cost),
            latency_s=time.monotonic() - attempt.began,
            waited_s=attempt.waited_s,
            attempts=attempt.sent,
        )

    async def failed(self, grant: Grant, attempt: Attempt, failure: Failure, latency_s: float) -> None:
        """The call failed: rest the account where the kind of failure asks for it."""
        plan, route, action = grant.plan, grant.plan.route, ACTIONS[failure.kind]
        sent_at = time.monotonic() - latency_s
        attempt.failures.append((route, failure))
        if action.breaks:
            route.breaker.fail()
            route.fault = failure
        else:
            route.breaker.give_up()
        if failure.reached:
            self._enter_in_full(plan, attempt.caller, failure.kind, latency_s)
        else:
            self.enter(plan, attempt.caller, failure.kind, TokenUsage(), 0, latency_s)
        await self._tried(route, self._give_back(grant, failure))
        await self._rest(plan, failure, sent_at)

    async def cancelled(self, grant: Grant, attempt: Attempt, latency_s: float) -> None:
        """The caller went away: the provider may answer and charge all the same, so it counts in full."""
        grant.plan.route.breaker.give_up()
        self._enter_in_full(grant.plan, attempt.caller, "cancelled", latency_s)
        await self._tried(grant.plan.route, self.limiter.settle(grant.reservation))

    async def unsent(self, grant: Grant) -> None:
        """The call was never sent."""
        grant.plan.route.breaker.give_up()
        await self._tried(grant.plan.route, self.limiter.release(grant.reservation))

    async def extend(self, grant: Grant, lease_s: float) -> None:
        """The call still runs, and may for so long."""
        await self._tried(grant.plan.route, self.limiter.extend(grant.reservation, lease_s))

    def enter(
        self,
        plan: Plan,
        caller: Caller,
        outcome: Outcome,
        usage: TokenUsage,
        cost: int | None,
        latency_s: float,
        *,
        is_estimate: bool = False,
    ) -> None:
        """Write it into the books."""
        self.books.write(
            Entry(
                at=time.time(),
                account=plan.route.account.name,
                model=plan.route.name,
                user=caller.user,
                session=caller.session or "",
                job=caller.job or "",
                outcome=outcome,
                prompt_tokens=usage.prompt_tokens,
                completion_tokens=usage.completion_tokens,
                cached_tokens=usage.cached_tokens,
                cost_units=cost or 0,
                priced=cost is not None,
                is_estimate=is_estimate,
                latency_ms=1000 * latency_s,
            )
        )

    def _enter_in_full(self, plan: Plan, caller: Caller, outcome: Outcome, latency_s: float) -> None:
        """What it may have cost: the books are never below the bill, and budgets begun anew from them hold."""
        self.enter(plan, caller, outcome, _reserved(plan), plan.cost_units, latency_s, is_estimate=True)

    def _give_back(self, grant: Grant, failure: Failure) -> Awaitable[None]:
        """Settle what a call that failed has used. Providers count requests that they refuse, too."""
        if not failure.is_sent:
            return self.limiter.release(grant.reservation)
        used = None if failure.reached else used_of(grant.plan.option, 0, 0)
        return self.limiter.settle(grant.reservation, used)

    async def _rest(self, plan: Plan, failure: Failure, sent_at: float) -> None:
        """Keep calls away from the account for as long as they would fail."""
        rest_s = ACTIONS[failure.kind].rests_s if failure.retry_after_s is None else failure.retry_after_s
        if failure.kind == "quota":
            await self._tried(plan.route, self._block(plan, failure, rest_s))
        elif failure.kind in ("exhausted", "auth"):
            refused = failure.kind == "auth" and failure.is_sent
            if not (refused and await self.secrets.renewed(plan.route.account, sent_at)):
                self.reserver.rest(plan.route, rest_s, failure)

    async def _block(self, plan: Plan, failure: Failure, seconds: float) -> None:
        """Grant nothing of the account's own limits for so long; where it has none, let it rest."""
        keys = [charge.limit.key for charge in plan.option.charges if charge.limit.key.startswith("account/")]
        if not keys:
            self.reserver.rest(plan.route, seconds, failure)
        for key in keys:
            await self.limiter.block(key, seconds)

    async def _learn(self, route: Route, learned: Mapping[str, Learned]) -> None:
        """Take over what the headers tell of limits that `accounts.yaml` has, where it differs from the last time.

        They may lower a limit, and lift it again to what the file says, but no further: some providers tell those of a
        day under the same names. Where they tell a limit of 0, they mean that there is none.
        """
        for name, what in learned.items():
            limit = route.limits[1].get(name) or route.limits[0].get(name)
            if limit is None or what.amount == 0:
                continue
            amount = None if what.amount is None else min(what.amount, limit.amount)
            if what.remaining == 0 or (amount is not None and amount != self._told.get(limit.key)):
                await self._tried(route, self._take_over(limit, amount, what.remaining))

    async def _take_over(self, limit: Limit, amount: int | None, remaining: int | None) -> None:
        stands = self._told.get(limit.key)
        if stands is None:  # another process, or this one in an earlier life, may have learned something
            [standing] = await self.limiter.standing([limit])
            stands = standing.amount
        news = None if amount == stands else amount
        # Where the limit is ours alone, the books know better what is left of it.
        left = remaining if remaining == 0 or amount != limit.amount else None
        if news is not None or left is not None:
            await self.limiter.learn(limit, amount=news, remaining=left)
        if amount is not None:
            self._told[limit.key] = amount

    async def _tried(self, route: Route, work: Awaitable[None]) -> bool:
        """Tell the limiter. False when it is away."""
        try:
            await work
        except EngineUnavailable as error:
            log.warning("limiter_not_told", account=route.account.name, model=route.name, error=str(error))
            return False
        return True


def _counted(plan: Plan, reply: ChatReply) -> TokenUsage:
    """The tokens as the provider counted; where it said nothing, what was reserved."""
    return _reserved(plan) if reply.is_estimate else reply.usage


def _reserved(plan: Plan) -> TokenUsage:
    return TokenUsage(prompt_tokens=plan.prompt_tokens, completion_tokens=plan.output_tokens)
