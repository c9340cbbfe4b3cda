"""Periods by their names."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from blocks.errors import BadInput
from tasks.quality.audit.period import Period, Span, latest, named

NOW = datetime(2026, 3, 4, 1, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("span", "name", "since", "until", "before"),
    [
        ("day", "2026-03-01", "2026-03-01", "2026-03-02", "2026-02-28"),
        ("week", "2026-W01", "2025-12-29", "2026-01-05", "2025-W52"),
        ("month", "2026-03", "2026-03-01", "2026-04-01", "2026-02"),
        ("month", "2026-12", "2026-12-01", "2027-01-01", "2026-11"),
    ],
)
def test_a_period_has_a_name_and_one_before(span: Span, name: str, since: str, until: str, before: str) -> None:
    period = named(span, name)
    assert (f"{period.since:%Y-%m-%d}", f"{period.until:%Y-%m-%d}") == (since, until)
    assert (period.name, period.previous.name) == (name, before)
    assert period.previous.until == period.since


def test_the_latest_is_over() -> None:
    assert [latest(span, NOW).name for span in ("day", "week", "month")] == ["2026-03-03", "2026-W09", "2026-02"]


def test_present_periods_are_named_by_words_as_reports_name_them() -> None:
    assert [named(span, "this", now=NOW).name for span in ("day", "week", "month")] == [
        "2026-03-04",
        "2026-W10",
        "2026-03",
    ]
    assert named("day", "today", now=NOW).name == "2026-03-04"
    assert named("day", "yesterday", now=NOW).name == named("day", "last", now=NOW).name == "2026-03-03"
    with pytest.raises(BadInput, match="is no week"):
        named("week", "today", now=NOW)


@pytest.mark.parametrize(
    ("span", "name"),
    [("day", "2026-02-30"), ("day", "20260301"), ("week", "2026-W54"), ("week", "2026-03-02"), ("month", "2026-13")],
)
def test_what_is_no_period_is_told(span: Span, name: str) -> None:
    with pytest.raises(BadInput, match=f"is no {span}"):
        named(span, name)


def test_other_periods_are_named_by_their_ends() -> None:
    east = timezone(timedelta(hours=7))
    period = Period(since=datetime(2026, 3, 2, tzinfo=east), until=datetime(2026, 3, 3, tzinfo=east))
    assert period.name == "20260301T170000Z-20260302T170000Z"
    assert [day.isoformat() for day in period.days] == ["2026-03-01", "2026-03-02"]


@pytest.mark.parametrize("until", [NOW, NOW - timedelta(days=1), NOW + timedelta(days=400)])
def test_a_period_has_a_length(until: datetime) -> None:
    with pytest.raises(ValidationError, match="a period ends after it begins"):
        Period(since=NOW, until=until)


@given(st.dates(min_value=datetime(1990, 1, 2).date(), max_value=datetime(2090, 1, 1).date()))
def test_the_name_of_a_day_leads_back_to_it(day: object) -> None:
    period = named("day", str(day))
    assert named("day", period.name) == period
    assert period.days == [day]
