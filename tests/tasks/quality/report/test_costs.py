"""Costs of a period, budgets and the forecast, against sums made by hand and those of `c500 costs`."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Engine

from blocks.accounts.books import Books, Entry
from blocks.accounts.costs import sums
from blocks.accounts.file import read_accounts
from tasks.quality.report.budgets import budget_part
from tasks.quality.report.costs import cost_figures, cost_tables, read_costs
from tasks.quality.report.period import period_of
from tests.databases import new_database
from tests.tasks.quality.report.planted import accounts_file, call, keep_calls

NOON, NOW = datetime(2026, 11, 21, 12, tzinfo=UTC), datetime(2026, 11, 22, 12, tzinfo=UTC)
DAY = timedelta(days=1)

Entered = Callable[..., Engine]


@pytest.fixture
def entered(tmp_path: Path) -> Iterator[Entered]:
    """Books with some calls."""
    url = f"sqlite:///{tmp_path}/some-books.db"
    books = Books(url)

    def enter(*calls: Entry) -> Engine:
        keep_calls(url, calls)
        return books.engine()

    yield enter
    books.close()


def test_costs_are_as_by_hand_and_as_c500_costs_says(entered: Entered) -> None:
    period = period_of("day", "2026-11-21", ZoneInfo("UTC"), NOW)
    engine = entered(
        call(period.since, 0.1),
        call(NOON, 0.2, user="bob", model="large", job="j1"),
        call(NOON, 0.3, account="second", outcome="transient", job="j1"),
        call(NOON, 0.4, is_estimate=True, outcome="cancelled", job="j2"),
        call(NOON, 0.0, priced=False),
        call(period.until - timedelta(milliseconds=1), 0.5, account="", outcome="cached"),
        call(period.until, 7.0),
        call(NOON - DAY, 2.0),
        call(NOON - 2 * DAY, 4.0),
    )
    now, before = read_costs(engine, period)
    told = {one.name: (one.value, one.before) for one in cost_figures(now, before)}
    assert told == {
        "cost_usd": (1.5, 2.0),
        "calls": (6, 1),
        "calls_failed_share": (1 / 6, 0.0),
        "tokens_sent": (600, 100),
        "tokens_answered": (60, 10),
        "estimated_usd": (0.4, 0.0),
        "unpriced": (1, 0),
    }
    rest = {one.group["account"]: one for one in sums(engine, ["account"], period.since.timestamp())}
    assert {name: one.usd for name, one in now.by["account"].items()} == {
        name: pytest.approx(one.cost_usd - (7.0 if name == "first" else 0)) for name, one in rest.items()
    }
    by_account, by_model, by_user, jobs = cost_tables(now)
    assert [row[0] for row in by_account.rows] == ["first", "(from the cache)", "second"]
    assert by_account.rows[0][1:5] == (pytest.approx(0.7), pytest.approx(0.7 / 1.5), 4, 0)
    assert [row[0] for row in by_model.rows] == ["small", "large"] and by_user.rows[1][:2] == ("bob", 0.2)
    assert jobs.rows == (("j1", 0.5, 2), ("j2", 0.4, 1))


def test_days_are_those_of_the_zone(entered: Entered) -> None:
    period = period_of("week", "2026-W43", ZoneInfo("Europe/Berlin"), NOW)  # clocks go back on its Sunday
    assert period.now.seconds == (7 * 24 + 1) * 3600
    edge = datetime(2026, 10, 21, 22, tzinfo=UTC)  # midnight of the 22nd
    calls = [call(edge - timedelta(seconds=1), 1.0), call(edge, 2.0), call(period.until - timedelta(seconds=1), 4.0)]
    now, _ = read_costs(entered(*calls), period)
    assert {day: one.usd for day, one in now.by["day"].items()} == {"2026-10-21": 1, "2026-10-22": 2, "2026-10-25": 4}
    assert sum(now.slices) == pytest.approx(7.0) and now.slices[-1] == 4.0


def test_budgets_stand_as_they_did_at_the_end_of_the_period(entered: Entered, tmp_path: Path) -> None:
    until = datetime(2026, 11, 22, tzinfo=UTC)
    engine = entered(
        call(NOON, 3.0),
        call(NOON, 1.0, user="bob"),
        call(NOON - 5 * DAY, 2.0),
        call(NOON - 30 * DAY, 8.0),
        call(until, 100.0),
    )
    path = tmp_path / "some-accounts.yaml"
    accounts_file(path, "{everyone: {usd_per_day: 5, usd_per_month: 12, usd: 28}, users: {bob: {usd_per_day: 0.5}}}")
    (table,) = budget_part(engine, read_accounts(path), until).tables
    assert table.rows == (
        ("user bob", "day", 0.5, 1.0, 2.0),
        ("everyone", "day", 5, 4.0, 0.8),
        ("everyone", "month", 12, 6.0, 0.5),
        ("everyone", "ever", 28, 14.0, 0.5),
    )


def test_the_rest_of_the_month_is_foretold_by_the_last_days(entered: Entered, tmp_path: Path) -> None:
    until = datetime(2026, 11, 21, tzinfo=UTC)
    engine = entered(*(call(until - number * DAY, 2.0) for number in range(1, 6)))
    path = tmp_path / "some-accounts.yaml"
    accounts_file(path, "{everyone: {usd_per_month: 16}}")
    part = budget_part(engine, read_accounts(path), until)
    # 10 dollars so far in five days, ten days are left at 2 a day; the 6 that are left last for three.
    assert {one.name: one.value for one in part.figures} == {"month_usd": 10.0, "month_forecast_usd": 30.0}
    assert part.notes[0].endswith("The budget of $16.00 a month is spent by 2026-11-24 (UTC).")
    assert budget_part(engine, None, until - 4 * DAY).figures[1:] == (), "one day foretells nothing"


def test_postgresql_says_the_same(entered: Entered, postgres_url: str) -> None:
    url = new_database(postgres_url)
    period = period_of("day", "2026-11-21", ZoneInfo("Asia/Kathmandu"), NOW)
    calls = [call(period.since + number * timedelta(minutes=7, seconds=31), 0.01) for number in range(250)]
    keep_calls(url, calls)
    books = Books(url)
    try:
        theirs, _ = read_costs(books.engine(), period)
    finally:
        books.close()
    ours, _ = read_costs(entered(*calls), period)
    assert theirs.whole == ours.whole and theirs.slices == pytest.approx(ours.slices)
    assert theirs.by == ours.by and ours.whole.calls == 192
