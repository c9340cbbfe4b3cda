"""What the books say: sums of calls over a period, and what was used of limits by days, months and for ever."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

from blocks.accounts.account import MONEY, TOKENS, USD_UNIT
from blocks.accounts.books import Books, day_of
from blocks.limits.limit import Limit
from blocks.limits.window import phase_of
from blocks.model import Frozen

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection, Engine, FromClause

By = Literal["account", "model", "user", "session", "job", "day", "outcome"]
BY: tuple[By, ...] = get_args(By)

SUMMED_UP = {"account", "model", "user", "day", "outcome"}
"""What the totals of days are kept by."""

UNFAILED = ("ok", "cached", "cancelled")
"""Outcomes of calls that did not fail."""

DAY_S = 86_400


class Sum(Frozen):
    """Calls that have something in common.

    Attributes:
        group: What they have in common, as `{"account": "first"}`.
        calls: How many.
        failed: How many of them failed; those that were cancelled did not.
        prompt_tokens: Sent.
        completion_tokens: Answered.
        cached_tokens: Of those sent, what the providers had cached.
        cost_usd: Dollars, estimated ones too; calls without a known price count as nothing.
        estimated_usd: Those of `cost_usd` that are estimated: at the most that calls may have cost which were cut off,
            or whose provider did not say how many tokens they had.
        estimated_calls: How many calls these are.
        latency_ms: Mean of those that an account answered; None when none was.
    """

    group: dict[str, str]
    calls: int
    failed: int
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    cost_usd: float
    estimated_usd: float = 0.0
    estimated_calls: int = 0
    latency_ms: float | None

    @property
    def failed_share(self) -> float:
        """Share of calls that failed."""
        return self.failed / self.calls if self.calls else 0.0


class JobCost(Frozen):
    """What the calls of a job cost by the books.

    Attributes:
        cost_usd: Dollars, estimated ones too.
        arrived_usd: Those of calls whose answer arrived.
        estimated_usd: Those that are estimated, as in `Sum`.
        estimated_calls: How many calls these are.
    """

    cost_usd: float
    arrived_usd: float
    estimated_usd: float
    estimated_calls: int


def sums(engine: "Engine", by: Sequence[By], since: float) -> list[Sum]:
    """Sums of calls, the dearest first; by day, in order.

    Whole days by what the totals are kept by are quick however many calls there were; all else reads the calls.

    Args:
        engine: Of the books.
        by: What the calls of a sum have in common; empty for one sum.
        since: Calls that ended from then on, in seconds since 1970.
    """
    from sqlalchemy import case, func, select

    from blocks.accounts.every_call import every_call
    from blocks.accounts.schema import TOTALS

    whole_days = since % DAY_S == 0 and SUMMED_UP.issuperset(by)
    table = TOTALS if whole_days else every_call()
    groups: list[ColumnElement[Any]] = [_column(engine, table, name).label(name) for name in by]
    calls: Any = table.c.calls
    ok = table.c.outcome == "ok"
    statement = (
        select(
            *groups,
            func.sum(calls),
            func.sum(case((table.c.outcome.in_(UNFAILED), 0), else_=calls)),
            *(func.sum(table.c[name]) for name in ("prompt_tokens", "completion_tokens", "cached_tokens")),
            func.sum(table.c.cost_units),
            func.sum(case((ok, table.c.latency_ms), else_=0)),
            func.sum(case((ok, calls), else_=0)),
        )
        .where(table.c.day >= day_of(since) if whole_days else table.c.at >= since)
        .group_by(*groups)
    )
    with engine.connect() as connection:
        found = {tuple(map(str, row[: len(by)])): row for row in connection.execute(statement) if row[len(by)]}
        guessed = _estimated(connection, engine, by, since)
    rows = [_sum(by, row, *guessed.get(group, (0, 0))) for group, row in found.items()]
    rows.sort(key=lambda row: (row.group.get("day", ""), -row.cost_usd, -row.calls, *row.group.values()))
    return rows


def cost_of_job(engine: "Engine", job: str) -> JobCost:
    """What all calls of a job cost, whenever they were made."""
    from sqlalchemy import case, func, select

    from blocks.accounts.every_call import every_call

    columns = every_call().c
    units = (
        columns.cost_units,
        case((columns.outcome == "ok", columns.cost_units), else_=0),
        case((columns.is_estimate, columns.cost_units), else_=0),
    )
    summed = [func.coalesce(func.sum(one), 0) for one in (*units, case((columns.is_estimate, columns.calls), else_=0))]
    with engine.connect() as connection:
        *dollars, calls = connection.execute(select(*summed).where(columns.job == job)).one()
    cost_usd, arrived_usd, estimated_usd = (int(one) / USD_UNIT for one in dollars)
    return JobCost(cost_usd=cost_usd, arrived_usd=arrived_usd, estimated_usd=estimated_usd, estimated_calls=int(calls))


def used_since(engine: "Engine", limits: Sequence[Limit], now: float | None = None) -> dict[str, int]:
    """What the books say was used of `calendar` limits in their present period, by key; others are left out.

    Args:
        engine: Of the books.
        limits: With keys as the pool makes them: `account/NAME/rpd`, `account/NAME/MODEL/usd_per_day`,
            `user/NAME/tpd`, `session/ID/usd`, `agent/RUN/tokens`, `everyone/usd_per_month`.
        now: Seconds since 1970; by default the present.
    """
    at = time.time() if now is None else now
    known: dict[tuple[str, float], _Used] = {}
    used: dict[str, int] = {}
    with engine.connect() as connection:
        for limit in limits:
            if limit.kind != "calendar":
                continue
            owner, _, field = limit.key.rpartition("/")
            since_s = phase_of(limit, at).since_s
            start = float("-inf") if since_s == float("inf") else float(round(at - since_s))
            if (owner, start) not in known:
                known[owner, start] = _used(connection, owner, start)
            what = known[owner, start]
            used[limit.key] = what.cost_units if field in MONEY else what.tokens if field in TOKENS else what.requests
    return used


def reseed_from(books: Books) -> Callable[[Sequence[Limit]], Awaitable[Mapping[str, int]]]:
    """`used_since` as the callback `reseed` of `RedisLimiter`."""

    def ask(limits: Sequence[Limit]) -> Mapping[str, int]:
        books.flush()  # what this process entered within the last half second
        return used_since(books.engine(), limits)

    async def reseed(limits: Sequence[Limit]) -> Mapping[str, int]:
        return await asyncio.to_thread(ask, limits)

    return reseed


class _Used(NamedTuple):
    requests: int
    tokens: int
    cost_units: int


def _used(connection: "Connection", owner: str, start: float) -> _Used:
    """What an owner of limits used since then: the rest of the first day by its calls, then whole days."""
    from blocks.accounts.every_call import every_call
    from blocks.accounts.schema import CALLS, TOTALS

    if owner.startswith("session/"):
        every = every_call()
        return _asked(connection, every, every.c.calls, every.c.session == owner.partition("/")[2], every.c.at >= start)
    if owner.startswith("dispatch/"):
        return _used_of_request(connection, owner, start)
    if owner.startswith("agent/"):
        every = every_call()
        return _asked(connection, every, every.c.calls, every.c.job == owner.partition("/")[2], every.c.at >= start)
    midnight = start if start == float("-inf") else -(-start // DAY_S) * DAY_S
    days = () if midnight == float("-inf") else (TOTALS.c.day >= day_of(midnight),)
    whole = _asked(connection, TOTALS, TOTALS.c.calls, _of(TOTALS, owner), *days)
    if midnight == start:
        return whole
    rest = _asked(connection, CALLS, 1, _of(CALLS, owner), CALLS.c.at >= start, CALLS.c.at < midnight)
    return _Used(*(one + other for one, other in zip(whole, rest, strict=True)))


def _used_of_request(connection: "Connection", owner: str, start: float) -> _Used:
    """What a request used, whoever of it did: the books do not tell its sub-tasks from the rest.

    Asked anew (`--refresh`) it has a purse under a name of its own, of which the books know nothing.
    """
    from blocks.accounts.every_call import every_call

    _, dispatch_id, *part = owner.split("/")
    if part not in ([], ["workers"]):
        return _Used(0, 0, 0)
    every = every_call()
    return _asked(connection, every, every.c.calls, every.c.job == dispatch_id, every.c.at >= start)


def _asked(connection: "Connection", table: "FromClause", calls: Any, *conditions: "ColumnElement[bool]") -> _Used:
    from sqlalchemy import func, select

    statement = select(
        func.coalesce(func.sum(calls), 0),
        func.coalesce(func.sum(table.c.prompt_tokens + table.c.completion_tokens), 0),
        func.coalesce(func.sum(table.c.cost_units), 0),
    ).where(table.c.outcome != "cached", *conditions)
    return _Used(*map(int, connection.execute(statement).one()))


def _of(table: "FromClause", owner: str) -> "ColumnElement[bool]":
    from sqlalchemy import or_, true

    kind, _, name = owner.partition("/")
    if kind == "account":
        # An account's name has no slash, so one with a slash is that of an account's model; its name may have more.
        return or_(table.c.account == name, table.c.account + "/" + table.c.model == name)
    if kind == "user":
        return table.c.user == name
    if owner != "everyone":
        raise ValueError(f"the books do not know what {owner} used")
    return true()


def _column(engine: "Engine", table: "FromClause", name: By) -> "ColumnElement[Any]":
    from sqlalchemy import func

    if name in table.c:
        return table.c[name]
    if engine.dialect.name == "postgresql":
        return func.to_char(func.timezone("UTC", func.to_timestamp(table.c.at)), "YYYY-MM-DD")
    return func.strftime("%Y-%m-%d", table.c.at, "unixepoch")


def _estimated(
    connection: "Connection", engine: "Engine", by: Sequence[By], since: float
) -> dict[tuple[str, ...], tuple[int, int]]:
    """By group, the calls whose cost is estimated, and that cost in 10^-9 dollars."""
    from sqlalchemy import func, select

    from blocks.accounts.every_call import every_call

    every = every_call(estimated=True)
    groups: list[ColumnElement[Any]] = [_column(engine, every, name).label(name) for name in by]
    wanted = (
        select(*groups, func.sum(every.c.calls), func.sum(every.c.cost_units))
        .where(every.c.at >= since)
        .group_by(*groups)
    )
    rows = (row for row in connection.execute(wanted) if row[len(by)])
    return {tuple(map(str, row[: len(by)])): (int(row[len(by)]), int(row[len(by) + 1])) for row in rows}


def _sum(by: Sequence[By], row: Any, estimated_calls: int, estimated_units: int) -> Sum:
    calls, failed, prompt, completion, cached, cost_units, latency_ms, answered = row[len(by) :]
    return Sum(
        group=dict(zip(by, map(str, row[: len(by)]), strict=True)),
        calls=int(calls),
        failed=int(failed),
        prompt_tokens=int(prompt),
        completion_tokens=int(completion),
        cached_tokens=int(cached),
        cost_usd=int(cost_units) / USD_UNIT,
        estimated_usd=int(estimated_units) / USD_UNIT,
        estimated_calls=int(estimated_calls),
        latency_ms=float(latency_ms) / int(answered) if answered else None,
    )
