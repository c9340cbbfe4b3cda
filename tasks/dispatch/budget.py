"""The money of one request, which calls side by side never pass together."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Literal

from blocks.accounts.account import USD_UNIT
from blocks.accounts.chat import Answer, Caller, ChatRequest
from blocks.accounts.pool import Pool
from blocks.accounts.routes import Plan, budgets_of, candidates, counter, plan, unpriced
from blocks.errors import BadInput, BudgetExceeded, LimitReached
from blocks.limits.limit import Charge, Limit, Option, Reservation
from blocks.limits.protocol import LEASE_S

Role = Literal["coordinator", "worker"]
"""Workers do sub-tasks; the coordinator asks, plans, merges and evaluates."""

WORKER_SHARE = 0.8
"""Of the time left when sub-tasks begin, and of the budget: what they may use. The rest merges what they made."""

MARGIN_S = 60.0
LONGEST_CALL_S = 3600.0
"""What a call may cost is held so much longer than the call may take; without a deadline, so long."""

NO_CHARGE = (BadInput, LimitReached, BudgetExceeded)
"""Errors of calls that no model answered: not sent, refused as too long or malformed, or over a limit."""


class Budget:
    """Money of one request.

    Before each call the most that it may cost, at the dearest account that may serve it, is reserved in the pool's
    limiter, which all processes share; after it the real cost is settled. What a call that was given up may have cost
    counts in full, as does what a process held that died. So a request that goes on after a crash knows what was spent.

    Args:
        pool: The accounts.
        purse: What the spending is counted under; another one counts anew.
        budget_usd: The most, in dollars, of all calls of the purse.
    """

    def __init__(self, pool: Pool, purse: str, budget_usd: float) -> None:
        units, key = round(budget_usd * USD_UNIT), f"dispatch/{purse}"
        whole = Limit(key=f"{key}/usd", amount=units, kind="calendar", period="ever")
        workers = Limit(key=f"{key}/workers/usd", amount=int(units * WORKER_SHARE), kind="calendar", period="ever")
        self._limits: dict[Role, tuple[Limit, ...]] = {"coordinator": (whole,), "worker": (whole, workers)}
        self._pool, self._usd = pool, budget_usd
        self._running = 0
        self._ended = asyncio.Condition()

    async def complete(self, request: ChatRequest, caller: Caller, role: Role) -> Answer:
        """Have a request answered within the budget.

        Raises:
            BudgetExceeded: it would pass the budget, or a price is unknown.
            C500Error: as `Pool.complete`.
        """
        async with self._held(request, caller, role) as held:
            answer = await self._pool.complete(request, caller)
            held.used = round((answer.cost_usd or 0.0) * USD_UNIT)
            return answer

    @asynccontextmanager
    async def _held(self, request: ChatRequest, caller: Caller, role: Role) -> "AsyncGenerator[_Held]":
        lease_s = max(LEASE_S, LONGEST_CALL_S if caller.deadline_s is None else caller.deadline_s + MARGIN_S)
        held = _Held(await self._reserve(request, caller, role, lease_s))
        try:
            yield held
        except NO_CHARGE:
            held.used = 0
            raise
        finally:
            await asyncio.shield(self._settle(held))

    async def _reserve(self, request: ChatRequest, caller: Caller, role: Role, lease_s: float) -> Reservation:
        """Hold the most the call may cost; while calls of ours run that may leave something over, wait for them."""
        most = self._most(request, caller)
        limits = self._limits[role]
        option = Option(name=limits[0].key, charges=tuple(Charge(limit=limit, amount=most) for limit in limits))
        async with self._ended:
            while True:
                found = await self._pool.limiter.reserve([option], lease_s=lease_s)
                if isinstance(found, Reservation):
                    self._running += 1
                    return found
                if not self._running or any(most > limit.amount for limit in limits):
                    raise await self._spent(most, limits)
                await self._ended.wait()

    async def _settle(self, held: "_Held") -> None:
        used = (
            None if held.used is None else {charge.limit.key: held.used for charge in held.reservation.option.charges}
        )
        try:
            await self._pool.limiter.settle(held.reservation, used)
        finally:
            async with self._ended:
                self._running -= 1
                self._ended.notify_all()

    async def _spent(self, most: int, limits: tuple[Limit, ...]) -> BudgetExceeded:
        whole, *_ = await self._pool.limiter.standing(limits)
        left_usd = max(0, whole.amount - whole.settled - whole.held) / USD_UNIT
        kept = f", of which {1 - WORKER_SHARE:.0%} are kept for merging" if len(limits) > 1 else ""
        most_usd, budget = f"${most / USD_UNIT:.6f}", f"${self._usd:g}"
        return BudgetExceeded(
            f"a call may cost {most_usd}, and ${left_usd:.6f} of the request's {budget} are left{kept}",
            fix="raise --budget-usd; what was finished is kept, the same request goes on there",
            field="budget_usd",
        )

    def _most(self, request: ChatRequest, caller: Caller) -> int:
        """The most a call may cost at any account that may serve it, in 10^-9 dollars.

        Raises:
            BudgetExceeded: a price is unknown.
        """
        plans = plans_of(self._pool, request, caller)
        if unknown := [one.route.name for one in plans if one.cost_units is None]:
            raise unpriced(unknown)
        return max((one.cost_units or 0 for one in plans), default=0)


@dataclass
class _Held:
    """Money held for a call; `used` in 10^-9 dollars, None when the call may have been charged in full."""

    reservation: Reservation
    used: int | None = None


def plans_of(pool: Pool, request: ChatRequest, caller: Caller) -> list[Plan]:
    """The ways to make a call that fit into the model's context."""
    groups = candidates(pool.routes, pool.accounts, request, caller)
    count = counter(request)
    budgets = budgets_of(pool.accounts, caller)
    made = [plan(route, request, count(route.model), budgets) for group in groups for route in group]
    return [one for one in made if one is not None]
