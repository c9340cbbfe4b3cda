"""What the books say: sums, what was used of limits, health, what is unusual, and counters that only grow."""

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event, inspect

from blocks.accounts.account import USD_UNIT, Quota
from blocks.accounts.anomalies import anomalies
from blocks.accounts.books import Books, Entry, day_of, insert
from blocks.accounts.costs import DAY_S, cost_of_job, reseed_from, sums, used_since
from blocks.accounts.health import health
from blocks.accounts.schema import open_engine
from blocks.accounts.tally import LONGEST_WRITE_S, Tally
from blocks.limits.limit import Limit
from tests.databases import new_database

NOW = 20_000 * DAY_S + 13 * 3600.0
"""1 p.m. UTC of a day."""

CALL = Entry(
    at=NOW,
    account="first",
    model="small",
    user="ann",
    outcome="ok",
    prompt_tokens=100,
    completion_tokens=10,
    cost_units=USD_UNIT,
    latency_ms=200,
)


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """Empty books, in each kind of database."""
    if request.param == "sqlite":
        engine = open_engine(f"sqlite:///{tmp_path}/own.db")
    else:
        engine = open_engine(new_database(request.getfixturevalue("postgres_url")))
    yield engine
    engine.dispose()


def enter(engine: Engine, *entries: Entry) -> None:
    with engine.begin() as connection:
        insert(connection, entries)


def calls(count: int, **fields: Any) -> list[Entry]:
    return [replace(CALL, **fields)] * count


def by_hand(entries: list[Entry], name: str, since: float) -> dict[str, tuple[int, int, float, int]]:
    """Calls, failed calls and dollars of each group, and how many calls are estimates."""
    found: dict[str, tuple[int, int, float, int]] = {}
    for one in (one for one in entries if one.at >= since):
        key = day_of(one.at) if name == "day" else getattr(one, name)
        count, failed, usd, guessed = found.get(key, (0, 0, 0.0, 0))
        bad = one.outcome not in ("ok", "cached", "cancelled")
        found[key] = (count + 1, failed + bad, usd + one.cost_units / USD_UNIT, guessed + one.is_estimate)
    return found


@pytest.mark.parametrize("since", [NOW - NOW % DAY_S - 2 * DAY_S, NOW - 5 * 3600.0], ids=["whole days", "hours"])
def test_sums_are_those_of_the_calls_whatever_they_are_grouped_by(engine: Engine, since: float) -> None:
    chance = random.Random(1)
    entries = [
        replace(
            CALL,
            at=NOW - chance.uniform(0, 4 * DAY_S),
            account=chance.choice(["first", "second"]),
            user=chance.choice(["ann", "ben"]),
            session=chance.choice(["", "s"]),
            job=chance.choice(["", "j"]),
            outcome=chance.choice(["ok", "transient", "cached", "cancelled"]),
            is_estimate=chance.random() < 0.2,
        )
        for _ in range(300)
    ]
    enter(engine, *entries)
    for name in ("account", "model", "user", "session", "job", "day", "outcome"):
        found = sums(engine, [name], since)
        got = {one.group[name]: (one.calls, one.failed, one.cost_usd, one.estimated_calls) for one in found}
        assert all(one.estimated_usd == one.estimated_calls for one in found)  # each call is of one dollar
        assert got == by_hand(entries, name, since), name
    [whole] = sums(engine, [], since)
    assert whole.prompt_tokens == 100 * whole.calls
    assert whole.latency_ms == 200
    pairs = sums(engine, ["account", "user"], since)
    assert [one.cost_usd for one in pairs] == sorted((one.cost_usd for one in pairs), reverse=True)


def test_what_a_job_cost_is_told_with_what_of_it_is_estimated(engine: Engine) -> None:
    enter(engine, *calls(3, job="j"), *calls(2, job="j", outcome="transient", is_estimate=True), *calls(5, job="k"))
    enter(engine, *calls(1, job="j", is_estimate=True))
    found = cost_of_job(engine, "j")
    assert (found.cost_usd, found.arrived_usd, found.estimated_usd, found.estimated_calls) == (6, 4, 3, 3)
    assert cost_of_job(engine, "none").cost_usd == 0


def test_books_that_were_made_without_the_index_of_estimates_get_it(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP INDEX c500_calls_estimated")
    again = open_engine(engine.url.render_as_string(hide_password=False))
    indexes = {index["name"] for index in inspect(again).get_indexes("c500_calls")}
    again.dispose()
    assert "c500_calls_estimated" in indexes


def test_estimates_are_found_without_a_look_at_all_calls(tmp_path: Path) -> None:
    own = open_engine(f"sqlite:///{tmp_path}/own.db")
    asked: list[tuple[str, Any]] = []
    event.listen(own, "before_cursor_execute", lambda *facts: asked.append((facts[2], facts[3])))
    sums(own, ["account"], 0)
    [(statement, values)] = [one for one in asked if "is_estimate" in one[0]]
    with own.connect() as connection:
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values).all()
    own.dispose()
    assert "c500_calls_estimated" in str(plan)


def limit(key: str, period: Any = "day", utc_offset_s: int = 0) -> Limit:
    return Limit(key=key, amount=1, kind="calendar", period=period, utc_offset_s=utc_offset_s)


def test_what_was_used_is_that_of_the_present_period_and_of_the_owner(engine: Engine) -> None:
    midnight = NOW - NOW % DAY_S
    enter(
        engine,
        *calls(1, at=NOW - 60),
        *calls(2, at=midnight + 60, model="large", session="s"),
        *calls(4, at=midnight - 60, user="ben"),
        *calls(8, at=midnight - 40 * DAY_S, outcome="transient"),
        *calls(16, at=NOW, outcome="cached", account=""),
        *calls(32, at=midnight - 80 * DAY_S, user="eve", account="third", job="request"),
    )
    limits = [
        limit("dispatch/request/usd", "ever"),
        limit("dispatch/request/workers/usd", "ever"),
        limit("dispatch/request/anew/usd", "ever"),
        limit("dispatch/request/anew/workers/usd", "ever"),
        limit("dispatch/other/usd", "ever"),
        limit("account/first/rpd"),
        limit("account/first/tpd"),
        limit("account/first/large/rpd"),
        limit("account/first/rpd2", utc_offset_s=-8 * 3600),
        limit("account/first/usd_per_hour", "hour"),
        limit("account/other/rpd"),
        limit("user/ben/usd", "ever"),
        limit("user/ann/usd_per_day"),
        limit("session/s/usd", "ever"),
        limit("everyone/usd_per_month", "month"),
        limit("everyone/rpd", "ever"),
        Limit(key="account/first/rpm", amount=1),
    ]
    assert used_since(engine, limits, NOW) == {
        "dispatch/request/usd": 32 * USD_UNIT,
        "dispatch/request/workers/usd": 32 * USD_UNIT,
        "dispatch/request/anew/usd": 0,
        "dispatch/request/anew/workers/usd": 0,
        "dispatch/other/usd": 0,
        "account/first/rpd": 3,
        "account/first/tpd": 330,
        "account/first/large/rpd": 2,
        # Its day began at 8 a.m. UTC: the calls after midnight were of the day before.
        "account/first/rpd2": 1,
        "account/first/usd_per_hour": 0,
        "account/other/rpd": 0,
        "user/ben/usd": 4 * USD_UNIT,
        "user/ann/usd_per_day": 3 * USD_UNIT,
        "session/s/usd": 2 * USD_UNIT,
        "everyone/usd_per_month": used_in_month(midnight),
        "everyone/rpd": 47,
    }


def test_an_owner_of_limits_that_the_books_do_not_know_is_an_error(engine: Engine) -> None:
    with pytest.raises(ValueError, match="team/blue"):
        used_since(engine, [limit("team/blue/usd", "ever")], NOW)


def used_in_month(midnight: float) -> int:
    """Dollars of the calls of that test that lie in the month of `NOW`."""
    same_month = day_of(midnight - 60)[:7] == day_of(midnight)[:7]
    return (7 if same_month else 3) * USD_UNIT


async def test_reseeding_knows_what_was_entered_a_moment_ago(tmp_path: Path) -> None:
    books = Books(f"sqlite:///{tmp_path}/books.db")
    [limit] = Quota(usd=1).limits("user/ann").values()
    books.write(CALL)
    assert await reseed_from(books)([limit]) == {"user/ann/usd": USD_UNIT}
    books.close()


def test_health_blames_accounts_for_their_own_faults_only(engine: Engine) -> None:
    enter(
        engine,
        *[replace(CALL, at=NOW - 60, latency_ms=number) for number in range(1, 101)],
        *calls(3, at=NOW - 30, outcome="bug"),
        *calls(2, at=NOW - 20, outcome="auth"),
        *calls(5, at=NOW - 40, outcome="transient"),
        *calls(9, at=NOW - 10, outcome="cancelled"),
        *calls(50, at=NOW - 3600, outcome="transient"),
    )
    [(route, found)] = health(engine, now=NOW).items()
    assert route == ("first", "small")
    assert (found.calls, found.faults, found.p95_ms) == (110, 7, 95)
    assert (found.last_fault, found.last_fault_at) == ("auth", NOW - 20)
    assert health(engine, now=NOW + DAY_S) == {}


def test_only_what_is_unusual_or_uncertain_is_flagged(engine: Engine) -> None:
    for days in range(1, 8):
        before = NOW - days * DAY_S
        enter(engine, *calls(30 + days, at=before), *calls(2, at=before, outcome="transient"))
        enter(engine, *calls(30, at=before, user="ben", account="second"))
    enter(engine, *calls(36), *calls(2, outcome="quota", cost_units=0))  # ann: as ever
    assert anomalies(engine, NOW) == []
    enter(engine, *calls(60), *calls(40, user="ben", account="second", outcome="auth", cost_units=0))
    enter(engine, *calls(1, user="ben", priced=False), *calls(1, user="ben", is_estimate=True))
    found = {(one.kind, one.who): one for one in anomalies(engine, NOW)}
    assert found.keys() == {
        ("cost", "account first"),
        ("cost", "user ann"),
        ("errors", "account second"),
        ("errors", "user ben"),
        ("unpriced", "account first, model small"),
        ("estimated", "account first, model small"),
    }
    assert found["cost", "user ann"].today == pytest.approx(96)


def test_newcomers_and_few_calls_are_not_flagged(engine: Engine) -> None:
    for days in range(1, 4):
        enter(engine, *calls(30, at=NOW - days * DAY_S))
    enter(engine, *calls(500))
    for days in range(1, 9):
        enter(engine, *calls(30, at=NOW - days * DAY_S, user="ben", account="second"))
    enter(engine, *calls(19, user="ben", account="second", outcome="transient"))
    assert anomalies(engine, NOW) == []


def test_counters_never_go_back_and_count_every_call_once(engine: Engine) -> None:
    enter(engine, *calls(3, at=NOW - 9 * DAY_S), *calls(2, at=NOW - DAY_S))
    tally, chance = Tally(engine), random.Random(2)
    row, route, calls_before, buckets_before = ("first", "small", "ok"), ("first", "small"), 0, [0]
    assert tally.read(NOW).latencies == {}
    at = NOW
    for step in range(40):
        at += LONGEST_WRITE_S * chance.choice([0.1, 1.1, 700])
        enter(engine, *[replace(CALL, at=at, latency_ms=chance.uniform(50, 200_000)) for _ in range(1 + step % 3)])
        read = tally.read(at)
        buckets, seconds = read.latencies.get(route, ([0], 0.0))
        assert read.totals[row]["calls"] >= calls_before
        assert all(now >= before for now, before in zip(buckets, buckets_before, strict=False))
        calls_before, buckets_before = read.totals[row]["calls"], list(buckets)
    written = sum(1 + step % 3 for step in range(40))
    assert calls_before == 5 + written
    assert sum(buckets_before) == written
    assert 0.05 * written <= seconds <= 200 * written
