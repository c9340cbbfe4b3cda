"""What calls of models cost in a period, by the books."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal
from zoneinfo import ZoneInfo

from blocks.accounts.account import USD_UNIT
from blocks.accounts.costs import UNFAILED
from tasks.quality.report.compare import count_of, share_of, total_of
from tasks.quality.report.period import Period, Span
from tasks.quality.report.report import Chart, Figure, Table, Unit, table_of

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection, Engine

By = Literal["account", "model", "user", "day"]

QUARTER_S = 900
"""Time zones differ by quarters of an hour, so that days and slices are made of these."""

MOST_JOBS = 10
COLUMNS: dict[str, Unit] = {
    "cost": "usd",
    "share": "share",
    "calls": "count",
    "failed": "count",
    "tokens sent": "count",
    "answered": "count",
}


@dataclass
class Sums:
    """Calls that have something in common.

    Attributes:
        calls, failed: How many, and how many of them failed; those that were cancelled did not.
        sent, answered: Tokens.
        units: Their cost in 10^-9 dollars.
    """

    calls: int = 0
    failed: int = 0
    sent: int = 0
    answered: int = 0
    units: int = 0

    def add(self, calls: int, failed: int, sent: int, answered: int, units: int) -> None:
        """Add other ones."""
        self.calls += calls
        self.failed += failed
        self.sent += sent
        self.answered += answered
        self.units += units

    @property
    def usd(self) -> float:
        """Their cost in dollars."""
        return self.units / USD_UNIT


@dataclass
class Costs:
    """The calls of a period.

    Attributes:
        span: The period.
        whole: All of them.
        by: Those of an account, a model, a user, a day.
        slices: Their cost in dollars, by slice.
        estimated_units: What of it is estimated.
        unpriced: Calls that were answered and have no known price.
        jobs: The dearest jobs, with cost and calls.
    """

    span: Span
    whole: Sums = field(default_factory=Sums)
    by: dict[By, dict[str, Sums]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(Sums)))
    slices: list[float] = field(default_factory=list[float])
    estimated_units: int = 0
    unpriced: int = 0
    jobs: list[tuple[str, float, int]] = field(default_factory=list[tuple[str, float, int]])


def read_costs(engine: "Engine", period: Period) -> tuple[Costs, Costs]:
    """The calls of a period, and those of the one before, row by row of their sums."""
    with engine.connect() as connection:
        return _read(connection, period.now, period), _read(connection, period.before, period)


def _read(connection: "Connection", span: Span, period: Period) -> Costs:
    from sqlalchemy import and_, case, func, not_, select

    from blocks.accounts.every_call import every_call

    columns = every_call().c
    within = columns.at >= span.since.timestamp(), columns.at < span.until.timestamp()
    failed = case((columns.outcome.in_(UNFAILED), 0), else_=columns.calls)
    estimated = case((columns.is_estimate, columns.cost_units), else_=0)
    unpriced = case((and_(not_(columns.priced), columns.outcome == "ok"), columns.calls), else_=0)
    groups = (_quarter(connection, columns.at), columns.account, columns.model, columns.user)
    counted = (columns.calls, failed, columns.prompt_tokens, columns.completion_tokens, columns.cost_units)
    summed = (func.sum(one) for one in (*counted, estimated, unpriced))
    wanted = select(*groups, *summed).where(*within).group_by(*groups)
    told, zone = Costs(span, slices=[0.0] * period.slices), ZoneInfo(period.zone)
    rows = connection.execution_options(stream_results=True, yield_per=2_000).execute(wanted)
    for quarter, account, model, user, *numbers in rows:
        at = max(span.since, datetime.fromtimestamp(int(quarter) * QUARTER_S, UTC))
        *sums, estimated_units, unpriced_calls = map(int, numbers)
        told.whole.add(*sums)
        day = f"{at.astimezone(zone):%Y-%m-%d}"
        names: dict[By, str] = {"account": account, "model": model, "user": user, "day": day}
        for by, name in names.items():
            told.by[by][name].add(*sums)
        told.slices[span.slice_of(at, period.slices)] += sums[-1] / USD_UNIT
        told.estimated_units += estimated_units
        told.unpriced += unpriced_calls
    cost = func.sum(columns.cost_units)
    dearest = select(columns.job, cost, func.sum(columns.calls)).where(*within, columns.job != "").group_by(columns.job)
    for job, units, calls in connection.execute(dearest.order_by(cost.desc(), columns.job).limit(MOST_JOBS)):
        told.jobs.append((job, int(units) / USD_UNIT, int(calls)))
    return told


def usd_by_day(engine: "Engine", since: datetime, until: datetime) -> list[float]:
    """Dollars of each of the days of 24 hours that end with `until`, the earliest first; the first one is whole."""
    from sqlalchemy import func, select

    from blocks.accounts.every_call import every_call

    calls = every_call().c
    days = int((until - since).total_seconds() // 86_400)
    edges = [until.timestamp() - (days - number) * 86_400 for number in range(days + 1)]
    found = list[float]()
    with engine.connect() as connection:
        for begin, end in pairwise(edges):
            wanted = select(func.coalesce(func.sum(calls.cost_units), 0)).where(calls.at >= begin, calls.at < end)
            found.append(int(connection.execute(wanted).scalar_one()) / USD_UNIT)
    return found


def cost_figures(now: Costs, before: Costs) -> Iterator[Figure]:
    """What all of it came to."""
    yield total_of("cost_usd", "spent", now.slices, before.slices, unit="usd", better="less").model_copy(
        update={"value": now.whole.usd, "before": before.whole.usd}
    )  # sums of dollars are not exact, those of their parts are
    yield count_of("calls", "calls", now.whole.calls, before.whole.calls)
    failed = ((one.whole.failed, one.whole.calls) for one in (now, before))
    yield share_of("calls_failed_share", "calls that failed", *failed, better="less")
    yield count_of("tokens_sent", "tokens sent", now.whole.sent, before.whole.sent)
    yield count_of("tokens_answered", "tokens answered", now.whole.answered, before.whole.answered)
    if now.estimated_units or before.estimated_units:
        sums = (one.estimated_units / USD_UNIT for one in (now, before))
        label = "of the cost, estimated"
        yield Figure(name="estimated_usd", label=label, value=next(sums), unit="usd", before=next(sums))
    if now.unpriced or before.unpriced:
        yield count_of("unpriced", "answered calls without a price", now.unpriced, before.unpriced, "less")


def cost_tables(costs: Costs) -> tuple[Table, ...]:
    """Cost by account, model and user, the dearest first, by day, and of the dearest jobs."""
    tables = list[Table]()
    for by in ("account", "model", "user"):
        tables += _table(costs, by)
    if len(costs.by["day"]) > 1:
        tables += _table(costs, "day")
    jobs: dict[str, Unit] = {"job": "text", "cost": "usd", "calls": "count"}
    return *tables, *table_of("Dearest jobs", jobs, [one for one in costs.jobs if one[1]])


def cost_chart(costs: Costs) -> tuple[Chart, ...]:
    """The dearest models."""
    models = sorted(costs.by["model"].items(), key=lambda item: -item[1].units)[:6]
    if len(models) < 2 or not costs.whole.units:
        return ()
    names, usd = tuple(name for name, _ in models), tuple(sums.usd for _, sums in models)
    return (Chart(title="Cost by model", labels=names, values=usd, unit="usd", is_ranking=True),)


def _table(costs: Costs, by: By) -> tuple[Table, ...]:
    found = costs.by[by].items()
    ranked = sorted(found, key=lambda item: item[0] if by == "day" else (-item[1].units, -item[1].calls, item[0]))
    whole = costs.whole.units
    rows = [
        (_name(by, name), one.usd, one.units / whole if whole else None, one.calls, one.failed, one.sent, one.answered)
        for name, one in ranked
    ]
    return table_of(f"By {by}", {by: "text", **COLUMNS}, rows, most=31 if by == "day" else 10)


def _name(by: By, name: str) -> str:
    return name or ("(from the cache)" if by == "account" else "-")


def _quarter(connection: "Connection", at: "ColumnElement[Any]") -> "ColumnElement[Any]":
    """The number of a call's quarter of an hour since 1970."""
    from sqlalchemy import Integer, cast, func

    # A cast of SQLite cuts off and has no floor() everywhere; one of PostgreSQL rounds.
    return func.floor(at / QUARTER_S) if connection.dialect.name == "postgresql" else cast(at / QUARTER_S, Integer)
