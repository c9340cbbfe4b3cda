"""After a call: its limits settled, its account's health noted, the books written."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from blocks.accounts.attempt import Attempt
from blocks.accounts.books import Books, Entry, Outcome
from blocks.accounts.chat import Answer, Caller, ChatReply, Headers, TokenUsage
from blocks.accounts.dialects.protocol import Learned
from blocks.accounts.dialects.registry import DIALECTS
from blocks.accounts.failure import ACTIONS, Failure
from blocks.accounts.reserve import Grant, Reserver
from blocks.accounts.routes import Plan, Route, in_dollars, used_of
from blocks.accounts.secrets import Secrets
from blocks.limits.protocol import Limiter


@dataclass(frozen=True)
class Outcomes:
    """What is done when calls end, well or not."""

    limiter: Limiter
    books: Books
    reserver: Reserver
    secrets: Secrets

    async def succeeded(
        self, grant: Grant, attempt: Attempt, reply: ChatReply, headers: Headers, latency_s: float
    ) -> Answer:
        """The call was answered."""
        plan, route = grant.plan, grant.plan.route
        route.breaker.succeed()
        route.took(latency_s)
        usage = _counted(plan, reply)
        price = route.model.price
        cost = price.cost_units(usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens) if price else None
        await self.limiter.settle(grant.reservation, used_of(plan.option, usage.total, cost or 0))
        await self._learn(route, DIALECTS[route.account.dialect].learned(headers))
        self.enter(plan, attempt.caller, "ok", usage, cost, latency_s, is_estimate=reply.is_estimate)
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
        attempt.failures.append((route, failure))
        # Providers count refused requests too. Tokens and money count in full where the model may have answered.
        await self.limiter.settle(grant.reservation, None if failure.reached else used_of(plan.option, 0, 0))
        if action.breaks:
            route.breaker.fail()
        else:
            route.breaker.give_up()
        rest_s = action.rests_s if failure.retry_after_s is None else failure.retry_after_s
        if failure.kind == "quota":
            await self._block(plan, rest_s)
        elif failure.kind in ("exhausted", "auth"):
            self.reserver.rest(route, rest_s)
        if failure.kind == "auth":
            self.secrets.refused(route.account)
        self.enter(plan, attempt.caller, failure.kind, TokenUsage(), 0, latency_s)

    async def cancelled(self, grant: Grant, attempt: Attempt, latency_s: float) -> None:
        """The caller went away: the provider may answer and charge all the same, so it counts in full."""
        grant.plan.route.breaker.give_up()
        await self.limiter.settle(grant.reservation)
        self.enter(grant.plan, attempt.caller, "cancelled", TokenUsage(), 0, latency_s)

    async def unsent(self, grant: Grant) -> None:
        """The call was never sent."""
        grant.plan.route.breaker.give_up()
        await self.limiter.release(grant.reservation)

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

    async def _block(self, plan: Plan, seconds: float) -> None:
        """Grant nothing of the account's own limits for so long; where it has none, let it rest."""
        keys = [charge.limit.key for charge in plan.option.charges if charge.limit.key.startswith("account/")]
        if not keys:
            self.reserver.rest(plan.route, seconds)
        for key in keys:
            await self.limiter.block(key, seconds)

    async def _learn(self, route: Route, learned: Mapping[str, Learned]) -> None:
        """Take over what the headers tell of limits that `accounts.yaml` has, where it differs."""
        for name, what in learned.items():
            limit = route.limits[1].get(name) or route.limits[0].get(name)
            if limit is not None and (what.amount not in (None, limit.amount) or what.remaining == 0):
                await self.limiter.learn(limit, amount=what.amount, remaining=what.remaining)


def _counted(plan: Plan, reply: ChatReply) -> TokenUsage:
    """The tokens as the provider counted; where it said nothing, what was reserved."""
    if not reply.is_estimate:
        return reply.usage
    return TokenUsage(prompt_tokens=plan.prompt_tokens, completion_tokens=plan.output_tokens)
