"""What is unusual about today's calls, by rules of statistical process control over the days before."""

import time
from collections import defaultdict
from collections.abc import Iterator
from math import sqrt
from statistics import mean, stdev
from typing import TYPE_CHECKING, Literal

from blocks.accounts.books import day_of
from blocks.accounts.costs import DAY_S, Sum, sums
from blocks.model import Frozen

if TYPE_CHECKING:
    from sqlalchemy import Engine

SIGMAS = 3.0
"""Control limits after Shewhart; NIST/SEMATECH e-Handbook of Statistical Methods, 6.3.1."""

BEFORE_DAYS = 14
LEAST_DAYS = 5
"""Days with calls among the 14 before; with fewer nobody knows what is usual."""

LEAST_CALLS = 20
"""Of today; fewer are no reason to look."""

LEAST_SPREAD = 0.1
"""Part of the mean that the days differ by at least: who costs the same every day is not flagged for a cent more."""


class Anomaly(Frozen):
    """Something to look at.

    Attributes:
        kind: `cost` and `errors`: more than usual. `unpriced`: calls whose price nobody knows. `estimated`: calls
            whose provider did not say how many tokens they had.
        who: Whose, as `user ann`.
        today: Dollars, the share of calls that failed, or calls.
        usual: What it would have to stay below; None where any is too many.
        message: All of it in a line.
    """

    kind: Literal["cost", "errors", "unpriced", "estimated"]
    who: str
    today: float
    usual: float | None
    message: str


def anomalies(engine: "Engine", now: float | None = None) -> list[Anomaly]:
    """What is unusual about today (UTC), for each account and each user.

    Cost: above mean + 3 standard deviations of the days with calls among the 14 before. Errors: their share p̂ above
    p + 3·√(p(1-p)/n), where p is the share on the days before and n the calls of today (the p chart of NIST's
    handbook, 6.3.3.2). Neither with fewer than 20 calls today or 5 days before.
    """
    at = time.time() if now is None else now
    midnight = at - at % DAY_S
    return [
        *_against_before(engine, "account", midnight),
        *_against_before(engine, "user", midnight),
        *_uncertain(engine, midnight),
    ]


def cost_limit(before: list[float]) -> float:
    """Dollars a day that are still usual, by those of the days before."""
    usual = mean(before)
    return usual + SIGMAS * max(stdev(before), LEAST_SPREAD * usual)


def error_limit(failed: int, calls: int, today: int) -> float:
    """Share of failed calls that is still usual.

    Args:
        failed: Calls that failed on the days before.
        calls: All calls of those days.
        today: Calls of today.
    """
    # A failure that was not seen yet is not impossible: Laplace's estimate.
    share = (failed + 1) / (calls + 2)
    return share + SIGMAS * sqrt(share * (1 - share) / today)


def _against_before(engine: "Engine", kind: Literal["account", "user"], midnight: float) -> Iterator[Anomaly]:
    days: dict[str, list[Sum]] = defaultdict(list)
    for one in sums(engine, [kind, "day"], midnight - BEFORE_DAYS * DAY_S):
        days[one.group[kind]].append(one)
    today = day_of(midnight)
    for name, found in sorted(days.items()):
        *before, last = found
        if last.group["day"] != today or last.calls < LEAST_CALLS or len(before) < LEAST_DAYS:
            continue
        who = f"{kind} {name or '(cache)'}"
        usd = cost_limit([one.cost_usd for one in before])
        if last.cost_usd > usd:
            told = f"{who} cost ${last.cost_usd:.2f} today; up to ${usd:.2f} would be usual"
            yield Anomaly(kind="cost", who=who, today=last.cost_usd, usual=usd, message=told)
        share = error_limit(sum(one.failed for one in before), sum(one.calls for one in before), last.calls)
        if last.failed_share > share:
            told = f"{last.failed_share:.1%} of {who}'s calls failed today; up to {share:.1%} would be usual"
            yield Anomaly(kind="errors", who=who, today=last.failed_share, usual=share, message=told)


def _uncertain(engine: "Engine", midnight: float) -> Iterator[Anomaly]:
    """Calls of today whose cost in the books is not certain."""
    from sqlalchemy import func, not_, select

    from blocks.accounts.schema import CALLS

    rules: dict[Literal["unpriced", "estimated"], tuple[object, str]] = {
        "unpriced": (not_(CALLS.c.priced), "have no price: give the model one in accounts.yaml"),
        "estimated": (CALLS.c.is_estimate, "are estimates: the provider did not say how many tokens they had"),
    }
    with engine.connect() as connection:
        for kind, (condition, why) in rules.items():
            statement = (
                select(CALLS.c.account, CALLS.c.model, func.count())
                .where(CALLS.c.at >= midnight, CALLS.c.outcome == "ok", condition)  # pyright: ignore[reportArgumentType]
                .group_by(CALLS.c.account, CALLS.c.model)
                .order_by(CALLS.c.account, CALLS.c.model)
            )
            for account, model, calls in connection.execute(statement):
                who = f"account {account}, model {model}"
                told = f"{calls} calls of {who} today {why}"
                yield Anomaly(kind=kind, who=who, today=calls, usual=None, message=told)
