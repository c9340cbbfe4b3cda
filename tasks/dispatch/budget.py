"""The money of one request, which calls side by side never pass together."""

import asyncio
from collections.abc import Callable
from typing import Literal

from blocks.accounts.account import USD_UNIT
from blocks.accounts.chat import UNBOUNDED, Answer, Caller, ChatRequest
from blocks.accounts.pool import Pool
from blocks.errors import BudgetExceeded
from blocks.limits.limit import Limit

Role = Literal["coordinator", "worker"]
"""Workers do sub-tasks; the coordinator asks, plans, merges and evaluates."""

WORKER_SHARE = 0.8
"""Of the time left when sub-tasks begin, and of the budget: what they may use. The rest merges what they made."""


class Budget:
    """Money of one request.

    Its calls carry a purse, which the pool treats as any other budget: each time one is sent, the most that it may cost
    is reserved in the limiter, which all processes share, and afterwards the real cost is settled. So a request that
    goes on after a crash knows what was spent. What is spent without a budget is counted too, for attempts with one.

    Args:
        pool: The accounts.
        purse: What the spending is counted under; another one counts anew.
        budget_usd: The most, in dollars, of all calls of the purse; None for no limit.
    """

    def __init__(self, pool: Pool, purse: str, budget_usd: float | None) -> None:
        units = UNBOUNDED if budget_usd is None else round(budget_usd * USD_UNIT)
        share = UNBOUNDED if budget_usd is None else int(units * WORKER_SHARE)
        key = f"dispatch/{purse}"
        whole = Limit(key=f"{key}/usd", amount=units, kind="calendar", period="ever")
        workers = Limit(key=f"{key}/workers/usd", amount=share, kind="calendar", period="ever")
        self._purses: dict[Role, tuple[Limit, ...]] = {"coordinator": (whole,), "worker": (whole, workers)}
        self._pool = pool
        self._running = 0
        self._ended = asyncio.Event()

    async def complete(self, request: ChatRequest, caller: Callable[[], Caller], role: Role) -> Answer:
        """Have a request answered within the budget; while calls of ours run that may leave something over, wait.

        Args:
            request: What is asked.
            caller: For whom; asked at each try, with the time left then.
            role: Whose share of the budget it is.

        Raises:
            BudgetExceeded: it would pass the budget, or a price is unknown.
            C500Error: as `Pool.complete`.
        """
        purse = self._purses[role]
        self._running += 1
        try:
            while True:
                ended = self._ended
                try:
                    return await self._pool.complete(request, caller().model_copy(update={"purse": purse}))
                except BudgetExceeded as error:
                    if not _is_spent(purse, error):
                        raise
                    if self._running == 1 and not ended.is_set():
                        raise await self._spent(purse) from error
                    await self._another(ended)
        finally:
            self._running -= 1
            self._ended.set()
            self._ended = asyncio.Event()

    async def _another(self, ended: asyncio.Event) -> None:
        """Wait until another call has ended. Who waits is not running: when all wait, the last one gives up instead."""
        self._running -= 1
        try:
            await ended.wait()
        finally:
            self._running += 1

    async def _spent(self, purse: tuple[Limit, ...]) -> BudgetExceeded:
        whole, *_ = await self._pool.limiter.standing(purse)
        left_usd = max(0, whole.amount - whole.settled - whole.held) / USD_UNIT
        kept = f", of which {1 - WORKER_SHARE:.0%} are kept for merging" if len(purse) > 1 else ""
        return BudgetExceeded(
            f"${left_usd:.6f} of the request's ${whole.amount / USD_UNIT:g} are left{kept}, and a call may cost more",
            fix="raise --budget-usd; what was finished is kept, the same request goes on there",
            field="budget_usd",
        )


def _is_spent(purse: tuple[Limit, ...], error: BudgetExceeded) -> bool:
    """Whether it is the purse that leaves no room, and not a budget of `accounts.yaml`."""
    return not {limit.key for limit in purse}.isdisjoint(error.details.get("limits", ()))
