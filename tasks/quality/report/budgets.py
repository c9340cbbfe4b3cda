"""What was spent beside what may be spent, and what it will come to by the end of the month."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from math import sqrt
from statistics import mean, stdev
from typing import TYPE_CHECKING, NamedTuple

from blocks.accounts.account import USD_UNIT, Accounts, Quota
from tasks.quality.report.costs import usd_by_day
from tasks.quality.report.noise import SIGMAS
from tasks.quality.report.report import Cell, Figure, Part, Unit, number, table_of

if TYPE_CHECKING:
    from sqlalchemy import Engine

LOOK_BACK = timedelta(days=14)
LEAST_DAYS = 3
"""Days with calls by which the rest of a month is foretold."""

MOST_USERS = 10
"""Of those who have the same budget, the dearest ones."""

PERIODS = {"usd_per_day": "day", "usd_per_month": "month", "usd": "ever"}
COLUMNS: dict[str, Unit] = {
    "budget of": "text",
    "for each": "text",
    "may be spent": "usd",
    "was spent": "usd",
    "share": "share",
}


class _Budget(NamedTuple):
    """Money that somebody may spend.

    Attributes:
        owner: Who, for people.
        quota: How much.
        column, name: Their column of the books, and what stands in it; empty for everyone.
        utc_offset_s: When their day begins, in seconds east of UTC.
    """

    owner: str
    quota: Quota
    column: str = ""
    name: str = ""
    utc_offset_s: int = 0


def budget_part(engine: "Engine", accounts: Accounts | None, until: datetime) -> Part:
    """Budgets as they stood at a moment, and a forecast of the month.

    Days and months are those of the budgets, UTC's (an account's may be told otherwise in its file).

    Args:
        engine: Of the books.
        accounts: Of the accounts file; None where there is none.
        until: The moment: the period's end.
    """
    rows = list(_spent(engine, accounts, until)) if accounts else []
    rows.sort(key=lambda row: -(float(row[4]) if isinstance(row[4], int | float) else 0.0))
    figures, notes = _forecast(engine, until, None if accounts is None else accounts.budgets.everyone.usd_per_month)
    if accounts is not None and not rows:
        notes = (*notes, "No budget is set in the accounts file: nothing but the accounts' own limits ends spending.")
    return Part(
        name="budgets",
        title="Budgets",
        figures=figures,
        tables=table_of("Budgets, the fullest first", COLUMNS, rows),
        notes=notes,
    )


def _spent(engine: "Engine", accounts: Accounts, until: datetime) -> Iterator[tuple[Cell, ...]]:
    last = until - timedelta(microseconds=1)
    for budget in _budgets(engine, accounts, last):
        for name, period in PERIODS.items():
            may = getattr(budget.quota, name)
            if may is not None:
                since = None if period == "ever" else _begin(period, last, budget.utc_offset_s)
                was = _usd(engine, since, until, budget)
                yield budget.owner, period, may, was, was / may if may else None


def _budgets(engine: "Engine", accounts: Accounts, last: datetime) -> Iterator[_Budget]:
    budgets = accounts.budgets
    yield _Budget("everyone", budgets.everyone)
    for user, quota in budgets.users.items():
        yield _Budget(f"user {user}", quota, "user", user)
    if budgets.user.has_budget:
        for user in _dearest_users(engine, _begin("month", last), last):
            if user not in budgets.users:
                yield _Budget(f"user {user}", budgets.user, "user", user)
    for account in accounts.accounts:
        yield _Budget(f"account {account.name}", account.quota, "account", account.name, account.utc_offset_s)


def _dearest_users(engine: "Engine", since: datetime, until: datetime) -> list[str]:
    from sqlalchemy import func, select

    from blocks.accounts.every_call import every_call

    calls = every_call().c
    within = calls.at >= since.timestamp(), calls.at <= until.timestamp()
    dearest = func.sum(calls.cost_units).desc()
    wanted = select(calls.user).where(*within).group_by(calls.user).order_by(dearest, calls.user).limit(MOST_USERS)
    with engine.connect() as connection:
        return [str(user) for (user,) in connection.execute(wanted)]


def _usd(engine: "Engine", since: datetime | None, until: datetime, whose: _Budget | None = None) -> float:
    from sqlalchemy import func, select

    from blocks.accounts.every_call import every_call

    calls = every_call().c
    wanted = select(func.coalesce(func.sum(calls.cost_units), 0)).where(calls.at < until.timestamp())
    if since is not None:
        wanted = wanted.where(calls.at >= since.timestamp())
    if whose is not None and whose.column:
        wanted = wanted.where(calls[whose.column] == whose.name)
    with engine.connect() as connection:
        return int(connection.execute(wanted).scalar_one()) / USD_UNIT


def _forecast(
    engine: "Engine", until: datetime, budget_usd: float | None
) -> tuple[tuple[Figure, ...], tuple[str, ...]]:
    """What the month comes to, if the days that are left are like the last fourteen."""
    last = until - timedelta(microseconds=1)
    begin = _begin("month", last)
    end = (begin + timedelta(days=32)).replace(day=1)
    so_far = _usd(engine, begin, until)
    figures = [Figure(name="month_usd", label=f"spent in {begin:%B} (UTC) so far", value=so_far, unit="usd")]
    days = _since_first(usd_by_day(engine, until - LOOK_BACK, until))
    if len(days) < LEAST_DAYS:
        return tuple(figures), ()
    left = (end - until).total_seconds() / 86_400
    likely = so_far + mean(days) * left
    spread = SIGMAS * stdev(days) * sqrt(max(left, 0))
    figures.append(Figure(name="month_forecast_usd", label=f"forecast for {begin:%B}", value=likely, unit="usd"))
    told = (
        f"As of the end of the period: the forecast takes the last {len(days)} days, {number(mean(days), 'usd')} a day "
        f"on the average, for the {left:.1f} that are left of the month: "
        f"{number(max(so_far, likely - spread), 'usd')} to {number(likely + spread, 'usd')}."
    )
    if budget_usd is None:
        return tuple(figures), (told,)
    if likely <= budget_usd:
        return tuple(figures), (f"{told} The budget of {number(budget_usd, 'usd')} a month suffices.",)
    days_left = max(0.0, (budget_usd - so_far) / mean(days))
    out = until + timedelta(days=days_left)
    return tuple(figures), (
        f"{told} The budget of {number(budget_usd, 'usd')} a month is spent by {out:%Y-%m-%d} (UTC).",
    )


def _since_first(days: list[float]) -> list[float]:
    """Without the days before the first call: the books may be young."""
    first = next((number for number, usd in enumerate(days) if usd), len(days))
    return days[first:]


def _begin(period: str, moment: datetime, utc_offset_s: int = 0) -> datetime:
    """When the day or the month of a moment began, by a clock so many seconds east of UTC."""
    offset = timedelta(seconds=utc_offset_s)
    midnight = (moment.astimezone(UTC) + offset).replace(hour=0, minute=0, second=0, microsecond=0)
    return (midnight if period == "day" else midnight.replace(day=1)) - offset
