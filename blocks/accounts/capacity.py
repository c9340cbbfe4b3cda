"""What the limits of the accounts leave for many calls, as they stand now, and how long those take within them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import ceil

from blocks.accounts.account import MONEY, USD_UNIT
from blocks.accounts.chat import Caller, ChatRequest
from blocks.accounts.pool import Pool
from blocks.accounts.routes import Route, is_affordable, quotas_of, reachable
from blocks.limits.limit import Limit, Standing
from blocks.model import Frozen

RATES = ("rpm", "tpm", "concurrency")
"""Limits that come back by themselves within a minute; the others are used up for the day, or for good."""

COUNTS = (*RATES, "rpd", "tpd")

MINUTE_S, DAY_S = 60.0, 86_400.0

Amount = Callable[[Limit], int]


@dataclass(frozen=True)
class Capacity:
    """Accounts that may serve, together.

    Attributes:
        routes: Where the calls go.
        most: By the name of a limit, the most in its window; not in it when it is not limited.
        left: By the name of a limit of a day, what is left of it today.
        usd_left: Dollars left of the tightest budget; None when there is none.
    """

    routes: tuple[Route, ...]
    most: Mapping[str, int]
    left: Mapping[str, int]
    usd_left: float | None


async def capacities(
    pool: Pool, requests: Sequence[ChatRequest], tokens: Sequence[int], caller: Caller
) -> list[Capacity]:
    """What the pool can do for requests like these; see `reachable`.

    Returns:
        First the routes of first choice, then these with those that calls spill over to when they have no room, group
        by group as the pool does; the last has every route that a call may take.

    Raises:
        Unsupported: no account has such a model, or such a label.
    """
    groups = reachable(pool.routes, pool.accounts, requests, tokens, caller)
    affordable = [[route for route in group if is_affordable(route, pool.accounts, caller)] for group in groups]
    groups = [group for group in affordable if group] or groups
    budgets, standings = await _standing(pool, [route for group in groups for route in group], caller)
    return [_capacity(routes, budgets, standings) for routes in accumulate(groups)]


async def capacity_of(pool: Pool, routes: Sequence[Route], caller: Caller) -> Capacity:
    """What these routes can do together, whatever they are asked."""
    return _capacity(routes, *await _standing(pool, routes, caller))


class Bound(Frozen):
    """A limit, and how long many calls take if there were only this one.

    Attributes:
        limit: `rpm`, `tpm`, `rpd`, `tpd` or `concurrency`.
        permitted: The most in its window, of all accounts together.
        seconds: How long.
    """

    limit: str
    permitted: int
    seconds: float


def bounds_of(
    found: Capacity, *, concurrency: int, calls: int, used: int, held: int, latency_s: float
) -> tuple[Bound, ...]:
    """How long each limit makes it take, the longest first.

    Args:
        found: What the limits allow.
        concurrency: Calls at once that are asked for.
        calls: How many there are.
        used: Tokens of all calls.
        held: What the limiter holds for them while they run: every answer as long as it may be.
        latency_s: Of a call.
    """
    at_once = min(concurrency, found.most.get("concurrency", concurrency))
    bounds = [Bound(limit="concurrency", permitted=at_once, seconds=calls * latency_s / at_once)]
    for name, amount, reserved in (("rpm", calls, calls), ("tpm", used, held)):
        if name in found.most:
            # In the window for a minute after the call, and before that while it runs; one window is there at once.
            seconds = (MINUTE_S * amount + latency_s * reserved) / max(1, found.most[name]) - MINUTE_S
            bounds.append(Bound(limit=name, permitted=found.most[name], seconds=max(0.0, seconds)))
    for name, amount in (("rpd", calls), ("tpd", used)):
        if name in found.most:
            days = ceil(max(0, amount - found.left[name]) / max(1, found.most[name]))
            bounds.append(Bound(limit=name, permitted=found.most[name], seconds=days * DAY_S))
    return tuple(sorted(bounds, key=lambda bound: -bound.seconds))


def fits(route: Route, prompt: int, output_tokens: int | None) -> bool:
    """Whether a prompt of so many tokens has room in the model, and within the route's limits of tokens."""
    output = route.output_tokens(output_tokens, prompt)
    if output is None:
        return False
    windows = [limits[name].amount for limits in route.limits for name in ("tpm", "tpd") if name in limits]
    return all(prompt + output <= window for window in windows)


async def _standing(
    pool: Pool, routes: Sequence[Route], caller: Caller
) -> tuple[list[dict[str, Limit]], dict[str, Standing]]:
    """The budgets of a caller, and how all limits that apply stand."""
    budgets = [quota.limits(owner) for owner, quota in quotas_of(pool.accounts, caller).items()]
    owned = [limits for route in routes for limits in route.limits]
    limits = {limit.key: limit for named in (*budgets, *owned) for limit in named.values()}
    return budgets, {one.key: one for one in await pool.limiter.standing(list(limits.values()))}


def _capacity(
    routes: Sequence[Route], budgets: Sequence[Mapping[str, Limit]], standings: Mapping[str, Standing]
) -> Capacity:
    def most(limit: Limit) -> int:
        return standings[limit.key].amount

    def left(limit: Limit) -> int:
        return _left(standings[limit.key])

    def together(name: str, amount: Amount) -> int | None:
        shared = [amount(named[name]) for named in budgets if name in named]
        return least([_of_accounts(routes, name, amount), *shared])

    units = least([together(name, left) for name in MONEY])
    return Capacity(
        routes=tuple(routes),
        most={name: found for name in COUNTS if (found := together(name, most)) is not None},
        left={name: found for name in ("rpd", "tpd") if (found := together(name, left)) is not None},
        usd_left=None if units is None else units / USD_UNIT,
    )


def least(amounts: Sequence[int | None]) -> int | None:
    """The smallest, None being no limit at all."""
    return min((amount for amount in amounts if amount is not None), default=None)


def _of_accounts(routes: Sequence[Route], name: str, amount: Amount) -> int | None:
    """The sum over the accounts: of each the least of its own limit and those of its models together."""
    total = 0
    for account in {route.account.name: route.account for route in routes}:
        own = [route for route in routes if route.account.name == account]
        of_account = [amount(route.limits[0][name]) for route in own[:1] if name in route.limits[0]]
        of_models = [amount(route.limits[1][name]) for route in own if name in route.limits[1]]
        both = least([*of_account, sum(of_models) if len(of_models) == len(own) else None])
        if both is None:
            return None
        total += both
    return total


def _left(standing: Standing) -> int:
    return max(0, standing.amount - standing.settled - standing.held)
