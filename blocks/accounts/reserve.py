"""Finding an account with room: the best of those that work, in turn with the others who wait."""

import random
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256

from blocks.accounts.account import Routing
from blocks.accounts.attempt import Attempt
from blocks.accounts.failure import Failure
from blocks.accounts.routes import Plan, Route
from blocks.accounts.traffic import Traffic
from blocks.accounts.unserved import unserved
from blocks.accounts.waiting import WaitingRoom
from blocks.limits.limit import Refusal, Reservation
from blocks.limits.protocol import LEASE_S, Limiter

NAP_S = 5.0
"""The longest nap while waiting for a limit: other processes may give room back earlier than was foreseen."""

MARGIN_S = 30.0
"""How much longer than a call may take its reservation stands."""

Groups = Sequence[Sequence[Plan]]
"""Ways to make a call; a later group only when no way of an earlier one is free."""


@dataclass(frozen=True, kw_only=True)
class Grant:
    """A call that may be sent.

    Attributes:
        plan: How.
        reservation: What it holds of the limits.
        room: Who else waits for these accounts.
    """

    plan: Plan
    reservation: Reservation
    room: WaitingRoom


class Reserver:
    """Grants calls.

    Args:
        limiter: Shared by all who use the accounts.
        routing: Tells how accounts are preferred, at every call: a gateway takes over a file that was changed.

    Attributes:
        traffic: Told whether calls find accounts that work.
    """

    def __init__(self, limiter: Limiter, routing: Callable[[], Routing]) -> None:
        self._limiter, self._routing = limiter, routing
        self._rooms: dict[tuple[str, ...], WaitingRoom] = defaultdict(WaitingRoom)
        self._rests: dict[str, tuple[float, Failure]] = {}
        self.traffic = Traffic()

    async def reserve(self, groups: Groups, attempt: Attempt) -> Grant:
        """Wait for room.

        Raises:
            LimitReached, BudgetExceeded, EngineUnavailable: there is none before the deadline, or never.
        """
        room = self._room(groups)
        found = await self._seek(groups, attempt, room) if room.is_empty else None
        if isinstance(found, Grant):
            return found
        start = time.monotonic()
        async with room.turn(attempt.caller):
            while not isinstance(found := await self._seek(groups, attempt, room), Grant):
                await room.change(self._nap_s(found, attempt, groups))
        attempt.waited_s += time.monotonic() - start
        return found

    async def reserve_now(self, groups: Groups, attempt: Attempt, other_than: Route) -> Grant | None:
        """A second grant for a call that is slow: from another account, if one has room and nobody waits for it.

        Of the same group: a later one holds models that are dearer, or another model, for when nothing else can serve.
        """
        others = [
            [plan for plan in group if plan.route.account.name != other_than.account.name]
            for group in groups
            if any(plan.route is other_than for plan in group)
        ]
        room = self._room(groups)
        if not any(others) or not room.is_empty:
            return None
        found = await self._look(others, attempt, room)
        return found if isinstance(found, Grant) else None

    def rest(self, route: Route, seconds: float, failure: Failure) -> None:
        """Give the account no calls for so long, for that failure."""
        name, until = route.account.name, time.monotonic() + seconds
        if name not in self._rests or self._rests[name][0] < until:
            self._rests[name] = until, failure

    def rests_s(self, route: Route) -> float:
        """Seconds until a route's account works again; 0 when it does."""
        until, _ = self._rests.get(route.account.name, (0.0, None))
        return max(0.0, route.breaker.wait_s, until - time.monotonic())

    def fault_of(self, route: Route) -> Failure | None:
        """Why a route does not work; None when it does, or when its provider only asks for patience."""
        until, failure = self._rests.get(route.account.name, (0.0, None))
        if route.breaker.state != "closed":
            return route.fault
        return failure if failure and failure.kind != "quota" and until > time.monotonic() else None

    def _room(self, groups: Groups) -> WaitingRoom:
        return self._rooms[tuple(plan.option.name for group in groups for plan in group)]

    async def _seek(self, groups: Groups, attempt: Attempt, room: WaitingRoom) -> Grant | Refusal:
        """`_look` among all that may serve: only that tells whether any account works."""
        found = await self._look(groups, attempt, room)
        if isinstance(found, Refusal):
            self.traffic.looked({} if found.keys else self._faults(groups))
        return found

    async def _look(self, groups: Groups, attempt: Attempt, room: WaitingRoom) -> Grant | Refusal:
        """Reserve in the first group that has room."""
        refused: list[Refusal] = []
        for group in groups:
            plans = {plan.option.name: plan for plan in self._ordered(self._working(group, attempt), attempt)}
            if not plans:
                continue
            found = await self._limiter.reserve(
                [plan.option for plan in plans.values()],
                lease_s=max(LEASE_S, *(plan.route.account.timeout_s + MARGIN_S for plan in plans.values())),
                in_order=self._sticks(attempt),
            )
            if isinstance(found, Reservation):
                plan = plans[found.option.name]
                if self.rests_s(plan.route) > 0.0:  # since it was asked, another call may have become the probe
                    await self._limiter.release(found)
                    return Refusal(keys=(), wait_s=0.0)
                plan.route.breaker.begin()
                return Grant(plan=plan, reservation=found, room=room)
            refused.append(found)
        if refused:
            return min(refused, key=lambda one: float("inf") if one.wait_s is None else one.wait_s)
        return Refusal(keys=(), wait_s=min(self.rests_s(plan.route) for group in groups for plan in group))

    def _faults(self, groups: Groups) -> dict[str, Failure]:
        """By route, why none of them works; empty when one does."""
        routes = [plan.route for group in groups for plan in group]
        faults = {route.key: fault for route in routes if (fault := self.fault_of(route))}
        return faults if len(faults) == len(routes) else {}

    def _working(self, group: Sequence[Plan], attempt: Attempt) -> list[Plan]:
        """The plans whose account works; those that have not failed this call, if there are any."""
        working = [plan for plan in group if self.rests_s(plan.route) == 0.0]
        failed = {route.key for route, _ in attempt.failures}
        return [plan for plan in working if plan.route.key not in failed] or working

    def _sticks(self, attempt: Attempt) -> bool:
        return self._routing().sticky and attempt.caller.session is not None

    def _ordered(self, plans: Sequence[Plan], attempt: Attempt) -> list[Plan]:
        """The preferred first: of a session that sticks its own, else the quickest."""
        if self._sticks(attempt):
            # Rendezvous hashing (Thaler, Ravishankar 1998): a session keeps its account when others come or go.
            session = attempt.caller.session
            return sorted(plans, key=lambda plan: sha256(f"{session} {plan.route.key}".encode()).digest())
        # An account that was never used comes first, so that its latency becomes known.
        return sorted(plans, key=lambda plan: (plan.route.latency_s, random.random()))  # noqa: S311 - no secret

    def _nap_s(self, refusal: Refusal, attempt: Attempt, groups: Groups) -> float:
        """How long to wait before the next look. Raises when it is no use."""
        if refusal.wait_s is None or refusal.wait_s > attempt.left_s:
            raise unserved(refusal, attempt, groups)
        nap_s = min(max(refusal.wait_s, 0.001), NAP_S, attempt.left_s)
        return nap_s * random.uniform(1.0, 1.05)  # noqa: S311 - jitter, so that processes do not come all at once
