"""The books held against their contracts: no call booked twice, and sums that are those of the calls."""

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from blocks.accounts.books import Books, day_of
from blocks.contracts.check import check
from blocks.contracts.table import CHUNK, numbers, texts, wholes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy import ColumnElement, Engine

    from blocks.contracts.table import Columns

DAY_S = 86_400
SUMMED = ("calls", "prompt_tokens", "completion_tokens", "cost_units")
KEYS = ("day", "account", "model", "user", "outcome")
WHOLE = ("id", "prompt_tokens", "completion_tokens", "cached_tokens", "cost_units", "priced", "is_estimate")
REAL = ("at", "latency_ms")

Found = dict[tuple[str, ...], dict[str, tuple[int, ...]]]
"""By day, account, model, user and outcome: what is summed up there, and what the calls come to."""


def check_books(books: Books, since: float, until: float) -> None:
    """Hold calls and sums of a period against their contracts. Blocks.

    Args:
        books: Which.
        since: Begin of the period, in seconds since 1970.
        until: Its end, which is no part of it.

    Raises:
        ContractBroken: naming the calls that were booked twice or wrongly, or the days whose sums are not theirs.
        StoreFailed: what this process entered cannot be written.
    """
    books.flush()  # what was entered within the last half second
    from blocks.accounts.schema import CALLS

    check_calls(books.engine(), CALLS.c.at >= since, CALLS.c.at < until)
    check_totals(books.engine(), since, until)


def check_calls_of(engine: "Engine", job: str) -> None:
    """Hold the calls of a job against their contract. Blocks. Raises as `check_books`."""
    from blocks.accounts.schema import CALLS

    check_calls(engine, CALLS.c.job == job)


def check_calls(engine: "Engine", *conditions: "ColumnElement[bool]") -> int:
    """Hold calls against their contract, in chunks.

    Args:
        engine: Of the books.
        conditions: Which of them.

    Returns:
        How many there are.

    Raises:
        ContractBroken: naming those that were booked twice or wrongly.
    """
    from sqlalchemy import select

    from blocks.accounts.schema import CALLS

    columns = [column.name for column in CALLS.columns]
    moment, counted = columns.index("at"), 0
    rest: list[Sequence[Any]] = []
    with engine.connect().execution_options(yield_per=CHUNK) as connection:
        for some in connection.execute(select(CALLS).where(*conditions).order_by(CALLS.c.at, CALLS.c.id)).partitions():
            counted += len(some)
            rows = [*rest, *some]
            _check_calls(columns, rows)
            # Once more with the next ones: of two rows of one moment the second may be among them.
            rest = [row for row in rows if row[moment] == rows[-1][moment]]
    return counted


def _check_calls(names: "Sequence[str]", rows: "Sequence[Sequence[Any]]") -> None:
    columns: dict[str, Any] = {}
    for name, values in zip(names, zip(*rows, strict=True), strict=True):
        if name in WHOLE:
            columns[name] = wholes([int(value) if isinstance(value, bool) else value for value in values])
        else:
            columns[name] = numbers(values) if name in REAL else texts(values)
    check("calls", columns, what="the books", rows=lambda: columns["id"].tolist())


def check_totals(engine: "Engine", since: float, until: float) -> None:
    """Hold the sums of whole days against the calls of these days.

    Args:
        engine: Of the books.
        since: Begin of the first day at the latest, in seconds since 1970.
        until: End of the last day at the latest.

    Raises:
        ContractBroken: naming days, accounts, models, users and outcomes whose sums are not those of their calls.
    """
    found = _totals(engine, -(-since // DAY_S) * DAY_S, until // DAY_S * DAY_S)
    if not found:
        return
    columns: Columns = {name: texts(values) for name, values in zip(KEYS, zip(*found, strict=True), strict=True)}
    nothing = (0,) * len(SUMMED)
    for at, name in enumerate(SUMMED):
        for suffix, kind in (("", "summed"), ("_counted", "counted")):
            columns |= {f"{name}{suffix}": wholes([one.get(kind, nothing)[at] for one in found.values()])}
    check("call totals", columns, what="the books", rows=lambda: [" ".join(filter(None, key)) for key in found])


def _totals(engine: "Engine", since: float, until: float) -> Found:
    found: Found = defaultdict(dict)
    with engine.connect() as connection:
        # One statement: between two, calls could be entered.
        for kind, day, *row in _rows(connection, engine.dialect.name, since, until):
            name = day_of(day * DAY_S) if kind == "counted" else day
            key = (name, *row[: len(KEYS) - 1])
            found[key][kind] = tuple(map(int, row[len(KEYS) - 1 :]))
    return dict(found)


def _rows(connection: Any, dialect: str, since: float, until: float) -> "Iterator[tuple[Any, ...]]":
    from sqlalchemy import Integer, String, cast, func, literal, select, union_all

    from blocks.accounts.every_call import every_call
    from blocks.accounts.schema import TOTALS

    every = every_call()
    # Not by the database's own dates: SQLite rounds to milliseconds, and a call of 23:59:59.9996 would be tomorrow's.
    day: Any = every.c.at / DAY_S
    day = func.floor(day) if dialect == "postgresql" else cast(day, Integer)
    own = [every.c[name] for name in KEYS[1:]]
    counted = (
        select(
            literal("counted"), cast(cast(day, Integer), String), *own, *(func.sum(every.c[name]) for name in SUMMED)
        )
        .where(every.c.at >= since, every.c.at < until)
        .group_by(day, *own)
    )
    first, end = day_of(since), day_of(until)
    summed = select(
        literal("summed"), TOTALS.c.day, *(TOTALS.c[name] for name in KEYS[1:]), *(TOTALS.c[name] for name in SUMMED)
    ).where(TOTALS.c.day >= first, TOTALS.c.day < end)
    for kind, moment, *row in connection.execute(union_all(counted, summed)):
        yield (kind, int(moment) if kind == "counted" else moment, *row)
