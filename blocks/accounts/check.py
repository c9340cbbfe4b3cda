"""Whether accounts work: each model is asked for one token."""

import asyncio
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import groupby

from blocks.accounts.attempt import Attempt
from blocks.accounts.chat import Caller, ChatRequest, Headers
from blocks.accounts.dialects.registry import DIALECTS
from blocks.accounts.failure import Failure
from blocks.accounts.pool import Pool
from blocks.accounts.reserve import Grant
from blocks.accounts.routes import Route, budgets_of, plan, too_long
from blocks.accounts.tokens import prompt_tokens
from blocks.accounts.unserved import failed, unserved
from blocks.accounts.waiting import WaitingRoom
from blocks.errors import C500Error, NotFound
from blocks.limits.limit import Refusal

PROBE = ChatRequest(messages=({"role": "user", "content": "Say ok."},), max_output_tokens=1)
CALLER = Caller(user="accounts-check")
"""Who pays for checks, in the books and for budgets."""

PATIENCE_S = 60.0
"""A model that has not said one token by then is of no use."""


@dataclass(frozen=True, kw_only=True)
class Told:
    """What an account's headers say of one of its limits.

    Attributes:
        limit: Field of `Quota`.
        amount: The most there may be, by the headers.
        configured: The most, by `accounts.yaml`; None where it sets no such limit.
    """

    limit: str
    amount: int
    configured: int | None


@dataclass(frozen=True, kw_only=True)
class Checked:
    """What became of the call.

    Attributes:
        account: The account.
        model: The model's name in `accounts.yaml`.
        error: Why there was no answer; None when there was one.
        latency_s: From sending to the end of the answer, in seconds.
        told: Limits that the answer's headers tell.
    """

    account: str
    model: str
    error: C500Error | None = None
    latency_s: float = 0.0
    told: tuple[Told, ...] = ()


async def check_accounts(pool: Pool, names: Collection[str] = ()) -> list[Checked]:
    """Call every model of the accounts, all accounts at once; within the limits, and entered in the books.

    Args:
        pool: The accounts, with their limits, keys and books.
        names: Only these accounts; all that are enabled when empty.

    Raises:
        NotFound: there is no such account, or it is not enabled.
    """
    known = {route.account.name for route in pool.routes}
    if unknown := set(names) - known:
        raise NotFound(
            f"there is no enabled account {', '.join(sorted(unknown))}", fix=f"known are {', '.join(sorted(known))}"
        )
    routes = [route for route in pool.routes if not names or route.account.name in names]
    groups = groupby(routes, key=lambda route: route.account.name)
    checked = await asyncio.gather(*(_check_account(pool, list(group)) for _, group in groups))
    return [one for group in checked for one in group]


async def _check_account(pool: Pool, routes: Sequence[Route]) -> list[Checked]:
    """One model after the other: an account may allow one call at a time."""
    return [await _check(pool, route) for route in routes]


async def _check(pool: Pool, route: Route) -> Checked:
    begun = time.monotonic()
    try:
        grant = await _granted(pool, route)
        begun = time.monotonic()
        told = _told(route, await _ask(pool, grant))
    except C500Error as error:
        latency_s = time.monotonic() - begun
        return Checked(account=route.account.name, model=route.name, error=error, latency_s=latency_s)
    return Checked(account=route.account.name, model=route.name, latency_s=time.monotonic() - begun, told=tuple(told))


async def _granted(pool: Pool, route: Route) -> Grant:
    """Room for the call. Raises when there is none now."""
    chosen = plan(route, PROBE, prompt_tokens(PROBE, route.model), budgets_of(pool.accounts, CALLER))
    if chosen is None:
        raise too_long(PROBE, [route])
    reservation = await pool.limiter.reserve([chosen.option])
    if isinstance(reservation, Refusal):
        raise unserved(reservation, Attempt(CALLER), [[chosen]])
    return Grant(plan=chosen, reservation=reservation, room=WaitingRoom())


async def _ask(pool: Pool, grant: Grant) -> Headers:
    """Send the call; gives the headers of the answer. Raises as `Pool.complete`."""
    attempt = Attempt(CALLER)
    try:
        _, headers = await pool.send(grant, attempt, min(grant.plan.route.account.timeout_s, PATIENCE_S))
    except Failure as failure:
        raise failure.error or failed(attempt) from None
    return headers


def _told(route: Route, headers: Headers) -> list[Told]:
    of_account, of_model = route.account.quota, route.model.quota
    return [
        Told(
            limit=name,
            amount=what.amount,
            configured=getattr(of_model, name) if getattr(of_model, name) is not None else getattr(of_account, name),
        )
        for name, what in DIALECTS[route.account.dialect].learned(headers).items()
        if what.amount is not None
    ]
