"""A call that was booked twice is found in the calls of a job and in the sums of its day; clean books pass."""

import asyncio
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, func, insert, select, update

from blocks.accounts.booked import booked
from blocks.accounts.books import Books, Entry, day_of
from blocks.accounts.books import insert as enter
from blocks.accounts.checked import DAY_S, check_books, check_calls, check_calls_of, check_totals
from blocks.accounts.ledger_retention import Held, sum_up
from blocks.accounts.schema import CALLS, TOTALS, open_engine
from blocks.contracts.broken import ContractBroken
from blocks.contracts.table import CHUNK
from tests.databases import new_database

DAY = 20_000
FIRST = float(DAY * DAY_S)


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """Empty books, in each kind of database."""
    if request.param == "sqlite":
        engine = open_engine(f"sqlite:///{tmp_path}/own.db")
    else:
        engine = open_engine(new_database(request.getfixturevalue("postgres_url")))
    yield engine
    engine.dispose()


def entries(seed: int, count: int = 200) -> list[Entry]:
    """Calls of three days: some at one moment, some of a cache and all alike, one a hair before midnight."""
    chance = random.Random(seed)
    made = [Entry(at=FIRST + DAY_S - 0.0003, account="a", model="m", user="ann", outcome="ok", latency_ms=3.0)]
    for _ in range(count):
        outcome = chance.choice(("ok", "ok", "cached", "transient", "cancelled"))
        call = Entry(
            at=FIRST + chance.randrange(3 * DAY_S) + chance.choice((0.0, chance.random())),
            account="" if outcome == "cached" else chance.choice(("a", "b")),
            model="m",
            user=chance.choice(("ann", "bob")),
            job=chance.choice(("", "j")),
            outcome=outcome,  # pyright: ignore[reportArgumentType]
            prompt_tokens=chance.randrange(1000),
            completion_tokens=chance.randrange(1000),
            cost_units=0 if outcome == "cached" else chance.randrange(10**9),
            is_estimate=outcome == "cancelled",
            latency_ms=0.0 if outcome == "cached" else chance.uniform(10, 9000),
        )
        made += [call] * (2 if outcome == "cached" else 1)
        if outcome == "ok":
            made.append(replace(call, latency_ms=call.latency_ms + 1))
    return made


def filled(engine: Engine, calls: list[Entry]) -> None:
    with engine.begin() as connection:
        enter(connection, calls)


def twice(engine: Engine, number: int) -> None:
    """A row of the calls once more, as a writer would enter it that does not know that it did."""
    with engine.begin() as connection:
        row: Any = connection.execute(select(CALLS).where(CALLS.c.id == number)).mappings().one()
        connection.execute(insert(CALLS).values({name: value for name, value in row.items() if name != "id"}))


def id_of_one(engine: Engine) -> int:
    with engine.connect() as connection:
        wanted = select(func.max(CALLS.c.id)).where(CALLS.c.outcome == "ok", CALLS.c.job == "j")
        return connection.execute(wanted).scalar_one()


def test_clean_books_are_not_flagged(engine: Engine) -> None:
    for seed in range(20):
        filled(engine, [replace(call, at=call.at + 30 * seed * DAY_S) for call in entries(seed, 60)])
    with engine.connect() as connection:
        rows = connection.execute(select(func.count()).select_from(CALLS)).scalar_one()
    assert check_calls(engine) == rows
    check_totals(engine, 0, FIRST + 1000 * DAY_S)
    check_calls_of(engine, "j")


def test_a_call_that_was_booked_twice_is_found_in_calls_and_sums(engine: Engine) -> None:
    filled(engine, entries(1))
    number = id_of_one(engine)
    twice(engine, number)
    with pytest.raises(ContractBroken, match="column id: must be the only row of its call"):
        check_calls_of(engine, "j")
    with pytest.raises(ContractBroken, match="column calls: must be calls_counted") as caught:
        check_totals(engine, FIRST, FIRST + 3 * DAY_S)
    with engine.connect() as connection:
        call = connection.execute(select(CALLS).where(CALLS.c.id == number)).one()
    assert f"row {day_of(call.at)} {call.account} m {call.user} ok, column cost_units" in str(caught.value.details)


def test_sums_that_count_a_call_twice_are_found_though_the_calls_are_right(engine: Engine) -> None:
    filled(engine, entries(2))
    day = day_of(FIRST + DAY_S)
    with engine.begin() as connection:
        connection.execute(update(TOTALS).where(TOTALS.c.day == day).values(cost_units=2 * TOTALS.c.cost_units))
    check_calls(engine)
    with pytest.raises(ContractBroken, match="column cost_units: must be cost_units_counted") as caught:
        check_totals(engine, FIRST, FIRST + 3 * DAY_S)
    assert all(day in fault for fault in caught.value.details["faults"])
    check_totals(engine, FIRST, FIRST + DAY_S)
    check_totals(engine, FIRST + DAY_S + 1, FIRST + 3 * DAY_S - 1)  # no whole day of those is in it


def test_a_call_booked_twice_is_found_where_a_chunk_ends_between_the_two(engine: Engine) -> None:
    calls = entries(3, 1)[:1]
    calls = [replace(calls[0], at=FIRST + at, latency_ms=1.0 + at) for at in range(CHUNK + 10)]
    filled(engine, calls)
    check_calls(engine)
    filled(engine, [calls[CHUNK - 1]])
    with pytest.raises(ContractBroken, match="1 fault"):
        check_calls(engine)


def test_what_retention_summed_up_still_counts(engine: Engine) -> None:
    filled(engine, entries(4))
    assert sum_up(engine, FIRST + 2 * DAY_S, Held())
    check_totals(engine, FIRST, FIRST + 3 * DAY_S)


def test_no_cost_is_told_of_a_job_with_a_call_booked_twice(tmp_path: Path) -> None:
    books = Books(f"sqlite:///{tmp_path}/own.db")
    for call in entries(5):
        books.write(call)
    told = asyncio.run(booked(books, "j"))
    assert told is not None
    assert told.cost_usd > 0
    check_books(books, FIRST, FIRST + 3 * DAY_S)
    twice(books.engine(), id_of_one(books.engine()))
    assert asyncio.run(booked(books, "j")) is None
    with pytest.raises(ContractBroken):
        check_books(books, FIRST, FIRST + 3 * DAY_S)
    books.close()
