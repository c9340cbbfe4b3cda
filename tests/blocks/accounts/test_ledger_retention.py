"""Old rows of the books go, and whatever is asked of the books is answered as before."""

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event, func, select

from blocks.accounts.account import USD_UNIT
from blocks.accounts.books import Entry, insert
from blocks.accounts.costs import BY, DAY_S, cost_of_job, sums, used_since
from blocks.accounts.forget import Names, forget, rows_of, wipe
from blocks.accounts.ledger_retention import Held, ledger_due, sum_up
from blocks.accounts.schema import CACHE, CALLS, OWNERS, SUMMED, TOTALS, open_engine
from blocks.accounts.tally import Tally
from blocks.limits.limit import Limit
from tests.databases import new_database

NOW = 20_000 * DAY_S + 13 * 3600.0
BEFORE = NOW - 40 * DAY_S
CALL = Entry(
    at=NOW,
    account="first",
    model="small",
    user="ann",
    outcome="ok",
    prompt_tokens=100,
    cost_units=USD_UNIT,
    latency_ms=200,
)


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """Empty books, in each kind of database."""
    sqlite = request.param == "sqlite"
    url = f"sqlite:///{tmp_path}/own.db" if sqlite else new_database(request.getfixturevalue("postgres_url"))
    engine = open_engine(url)
    yield engine
    engine.dispose()


def fill(engine: Engine) -> None:
    """Sixty days of calls of two users, with sessions, jobs, failures and estimates; the last row is of today."""
    entries: list[Entry] = []
    for number in range(240):
        entries.append(
            replace(
                CALL,
                at=NOW - 60 * DAY_S + number * DAY_S / 4,
                user="ann" if number % 3 else "bob",
                session=f"s{number % 2}",
                job=f"j{number % 5}",
                outcome="transient" if number % 7 == 0 else "ok",
                is_estimate=number % 11 == 0,
                cost_units=number * 1000,
            )
        )
    with engine.begin() as connection:
        insert(connection, [*entries, replace(CALL, at=NOW)])


def told(engine: Engine) -> dict[str, Any]:
    """All that the books are asked."""
    groups = [[], *[[by] for by in BY], ["user", "session"], ["day", "job"]]
    owners = ("user/ann", "account/first", "session/s1", "agent/j2", "dispatch/j3", "everyone")
    limits = [
        Limit(key=f"{owner}/{field}", amount=10**15, kind="calendar", period=period)
        for owner in owners
        for field in ("usd", "tokens", "requests")
        for period in ("day", "month", "ever")
        if not (owner.startswith("everyone") and period == "ever")
    ]
    return {
        "sums": [sums(engine, by, since) for by in groups for since in (0.0, NOW - 3 * DAY_S)],  # pyright: ignore[reportArgumentType]
        "jobs": [cost_of_job(engine, f"j{number}") for number in range(5)],
        "used": used_since(engine, limits, NOW),
    }


def count(engine: Engine, table: Any = CALLS) -> int:
    with engine.connect() as connection:
        return connection.execute(select(func.count()).select_from(table)).scalar_one()


def test_the_books_say_the_same_of_rows_that_went(engine: Engine) -> None:
    fill(engine)
    before, tally = told(engine), Tally(engine).read(NOW).totals
    planned = ledger_due(engine, BEFORE, Held())
    assert planned.rows == 78
    assert sum_up(engine, BEFORE, Held()) == 78
    assert count(engine) == 241 - 78
    assert told(engine) == before
    assert Tally(engine).read(NOW).totals == tally
    assert sum_up(engine, BEFORE, Held()) == 0
    assert told(engine) == before


def test_a_row_that_comes_late_is_added_once(engine: Engine) -> None:
    fill(engine)
    sum_up(engine, BEFORE, Held())
    with engine.begin() as connection:
        insert(connection, [replace(CALL, at=BEFORE - 5 * DAY_S, job="j1"), replace(CALL, at=NOW)])
    before = told(engine)
    assert sum_up(engine, BEFORE, Held()) == 1
    assert told(engine) == before


def test_rows_of_whom_is_held_stay(engine: Engine) -> None:
    fill(engine)
    held = Held(users=("bob",), jobs=("j1",))
    assert ledger_due(engine, BEFORE, held).held == 37
    sum_up(engine, BEFORE, held)
    with engine.connect() as connection:
        old = connection.execute(select(CALLS.c.user, CALLS.c.job).where(CALLS.c.at < BEFORE - DAY_S)).all()
    assert old
    assert all(user == "bob" or job == "j1" for user, job in old)


def test_numbers_of_rows_are_never_given_twice(engine: Engine) -> None:
    fill(engine)
    with engine.connect() as connection:
        top = connection.execute(select(func.max(CALLS.c.id))).scalar_one()
    sum_up(engine, NOW + 10 * DAY_S, Held())
    with engine.begin() as connection:
        insert(connection, [CALL])
        assert connection.execute(select(func.max(CALLS.c.id))).scalar_one() > top


@pytest.mark.parametrize("step", [29, pytest.param(1, marks=[pytest.mark.soak, pytest.mark.timeout(1800)])])
def test_killed_at_any_statement_no_call_counts_twice_or_not(tmp_path: Path, step: int) -> None:
    point, killed = 0, True
    while killed:
        point += step
        url = f"sqlite:///{tmp_path}/{point}.db"
        engine = open_engine(url)
        fill(engine)
        before = told(engine)
        engine.dispose()
        if not (child := os.fork()):
            _killed_at(open_engine(url), point)
        killed = os.WIFSIGNALED(os.waitpid(child, 0)[1])
        engine = open_engine(url)
        assert told(engine) == before
        sum_up(engine, BEFORE, Held())
        assert told(engine) == before
        engine.dispose()
    assert point > 3 * step


def _killed_at(engine: Engine, point: int) -> None:
    left = point

    def statement(*_: Any) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(engine, "before_cursor_execute", statement)
    event.listen(engine, "commit", statement)
    try:
        sum_up(engine, BEFORE, Held())
    finally:
        os._exit(0)


def test_the_books_forget_a_person_and_what_accounts_used_stays(engine: Engine, tmp_path: Path) -> None:
    fill(engine)
    sum_up(engine, BEFORE, Held())
    with engine.begin() as connection:
        insert(connection, [replace(CALL, user="anna-marker", session="anna-chat", job="anna-job")] * 2)
        for key, user in (("k1", "anna-marker"), ("k2", "bob")):
            connection.execute(CACHE.insert().values(key=key, scope="s", at=NOW, answer=f"answer of {user}"))
            connection.execute(OWNERS.insert().values(key=key, user=user, session="", job=""))
    used = used_since(engine, [Limit(key="account/first/usd", amount=10**15, kind="calendar", period="month")], NOW)
    days = sums(engine, ["day", "account"], 0.0)
    names = Names(users=("anna-marker",), sessions=("anna-chat",), jobs=("anna-job",))
    assert {table for table, _ in rows_of(engine, names)} == {"c500_calls", "c500_totals", "c500_cache"}
    assert forget(engine, names) == 4
    wipe(engine)
    assert list(rows_of(engine, names)) == []
    assert forget(engine, names) == 0
    assert (
        used_since(engine, [Limit(key="account/first/usd", amount=10**15, kind="calendar", period="month")], NOW)
        == used
    )
    assert sums(engine, ["day", "account"], 0.0) == days
    assert count(engine, CACHE) == 1
    if engine.dialect.name == "sqlite":
        assert not any(b"anna" in path.read_bytes() for path in tmp_path.glob("own.db*"))


def test_answers_of_which_nobody_knows_for_whom_they_were_kept_go(engine: Engine) -> None:
    with engine.begin() as connection:
        insert(connection, [replace(CALL, user="anna"), CALL])
        for key in ("earlier", "bobs"):
            connection.execute(CACHE.insert().values(key=key, scope="s", at=NOW, answer=f"answer {key}"))
        connection.execute(OWNERS.insert().values(key="bobs", user="bob", session="", job=""))
    forget(engine, Names(users=("anna",)))
    with engine.connect() as connection:
        assert connection.execute(select(CACHE.c.key)).scalars().all() == ["bobs"]


def test_the_books_forget_a_job_and_who_paid_stays(engine: Engine) -> None:
    fill(engine)
    sum_up(engine, BEFORE, Held())
    by_user = sums(engine, ["user", "session"], 0.0)
    forget(engine, Names(jobs=("j1",)))
    assert cost_of_job(engine, "j1").cost_usd == 0
    assert sums(engine, ["user", "session"], 0.0) == by_user
    assert count(engine, TOTALS) > 0
    assert count(engine, SUMMED) > 0
