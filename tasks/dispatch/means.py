"""What one request may use: the accounts, until a deadline, up to a sum of money."""

import asyncio
import time
from collections.abc import Awaitable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from itertools import chain
from typing import Any, Literal, Protocol, TypeVar, overload

from pydantic import BaseModel

from blocks.accounts.chat import Answer, Caller, ChatRequest
from blocks.accounts.pool import Pool
from blocks.accounts.routes import budgets_of, candidates, counter, plan
from blocks.accounts.structured import Structured, ask
from blocks.errors import TimedOut
from tasks.dispatch.budget import WORKER_SHARE, Budget, Role
from tasks.dispatch.request import DispatchOptions
from tasks.dispatch.spent import Spent

M = TypeVar("M", bound=BaseModel)
R = TypeVar("R")

GRACE_S = 2.0
"""How much later than the deadline a step is cut off that should have ended by itself."""

ANSWER_TOKENS = 1000
"""Room for an answer that a prompt must leave in the model's context, unless it says how much it needs."""


class Record(Protocol):
    """What a step that asks a model returns."""

    @property
    def spent(self) -> Spent:
        """What it took."""
        ...


S = TypeVar("S", bound=Record)


@dataclass
class Computing:
    """Whether a step was computed, and not found done."""

    computed: bool = False


computing: ContextVar[Computing | None] = ContextVar("computing", default=None)


class Means:
    """The accounts, time and money of one request.

    Every call gets what is left of the time as its deadline; for the money see `Budget`.

    Args:
        pool: The accounts.
        dispatch_id: Which request.
        options: Its bounds.
        purse: What its spending is counted under; another one counts anew.
    """

    def __init__(self, pool: Pool, dispatch_id: str, options: DispatchOptions, purse: str) -> None:
        self.pool = pool
        self.spent = Spent()
        self._caller = Caller(
            user=options.user, session=dispatch_id, job=dispatch_id, labels=options.labels, deadline_s=None
        )
        self._limit_s = options.deadline_s
        self._ends = None if options.deadline_s is None else time.monotonic() + options.deadline_s
        self._workers_end: float | None = None
        self._budget = Budget(pool, purse, options.budget_usd)

    def caller(self, role: Role, priority: int = 5) -> Caller:
        """For whom a call is made now.

        Raises:
            TimedOut: there is no time left.
        """
        left_s = self.left_s(role)
        if left_s is not None and left_s <= 0:
            raise self.timed_out()
        rank: Literal["low", "normal", "high"] = "high" if priority >= 8 else "low" if priority <= 3 else "normal"
        return self._caller.model_copy(update={"deadline_s": left_s, "priority": rank})

    def left_s(self, role: Role = "coordinator") -> float | None:
        """Seconds left; None without a deadline."""
        ends = self._workers_end if role == "worker" and self._workers_end is not None else self._ends
        return None if ends is None else ends - time.monotonic()

    def timed_out(self) -> TimedOut:
        """The error for a request whose time is up."""
        fix = "give it more time with --deadline; what was finished is kept, the same request goes on there"
        return TimedOut(f"the request has not ended within {self._limit_s:g} s", fix=fix)

    def begin_work(self) -> None:
        """Sub-tasks begin: they get their share of the time left."""
        left_s = self.left_s()
        self._workers_end = None if left_s is None else time.monotonic() + WORKER_SHARE * left_s

    async def have(self, made: Awaitable[S], role: Role = "coordinator") -> S:
        """The outcome of a step within the time; what it took counts too when it was found done.

        Raises:
            TimedOut: it did not end in time.
            C500Error: as the step.
        """
        seen = Computing()
        token = computing.set(seen)
        try:
            record = await self.in_time(made, role)
        finally:
            computing.reset(token)
        if not seen.computed:
            self.spent += record.spent
        return record

    @contextmanager
    def clock_stopped(self) -> Generator[None]:
        """Within, the user is waited for."""
        start = time.monotonic()
        try:
            yield
        finally:
            if self._ends is not None:
                self._ends += time.monotonic() - start

    async def in_time(self, made: Awaitable[R], role: Role = "coordinator") -> R:
        """The outcome of a step, cut off when it does not end by itself at the deadline, as one that waits for a lock.

        Raises:
            TimedOut: it did not.
        """
        left_s = self.left_s(role)
        guard = asyncio.timeout(None if left_s is None else max(0.0, left_s) + GRACE_S)
        try:
            async with guard:
                return await made
        except TimeoutError:
            if not guard.expired():
                raise
            raise self.timed_out() from None

    def takes(self, request: ChatRequest, role: Role) -> bool:
        """Whether a request fits any model that may serve it, with room for an answer."""
        room = request.max_output_tokens or ANSWER_TOKENS
        roomy, caller = request.model_copy(update={"max_output_tokens": room}), self.caller(role)
        tokens, budgets = counter(roomy), budgets_of(self.pool.accounts, caller)
        routes = chain.from_iterable(candidates(self.pool.routes, self.pool.accounts, roomy, caller))
        return any(plan(route, roomy, tokens(route.model), budgets) is not None for route in routes)

    async def complete(self, request: ChatRequest, role: Role, priority: int = 5) -> Answer:
        """Have a request answered within the means.

        Raises:
            BudgetExceeded: it would pass the budget, or a price is unknown under one.
            TimedOut: the deadline passed.
            C500Error: as `Pool.complete`.
        """
        asked = self._budget.complete(request, lambda: self.caller(role, priority), role)
        answer = await self.in_time(asked, role)
        self.spent += Spent.of(answer)
        return answer

    @overload
    async def ask(
        self, request: ChatRequest, wanted: type[M], role: Role = "coordinator", priority: int = 5
    ) -> Structured[M]: ...

    @overload
    async def ask(
        self, request: ChatRequest, wanted: dict[str, Any], role: Role = "coordinator", priority: int = 5
    ) -> Structured[dict[str, Any]]: ...

    async def ask(
        self, request: ChatRequest, wanted: Any, role: Role = "coordinator", priority: int = 5
    ) -> Structured[Any]:
        """Have a request answered with a typed value; see `structured.ask` for the round of repair and the errors."""
        return await ask(_Bounded(self, role, priority), request, wanted)


@dataclass(frozen=True)
class _Bounded:
    means: Means
    role: Role
    priority: int

    async def complete(self, request: ChatRequest, caller: Caller | None = None) -> Answer:
        return await self.means.complete(request, self.role, self.priority)


_current: ContextVar[Means | None] = ContextVar("means", default=None)


@contextmanager
def provided(means: Means) -> Generator[None]:
    """Within, steps use these means."""
    token = _current.set(means)
    try:
        yield
    finally:
        _current.reset(token)


def means() -> Means:
    """The means of the request in hand."""
    if (found := _current.get()) is None:
        raise TypeError("a step that asks a model runs within `provided`")
    return found
