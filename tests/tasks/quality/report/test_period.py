"""Days and weeks of a zone: edges half open, days of 23 and 25 hours, what is not over yet."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from blocks.errors import BadInput
from tasks.quality.report import period
from tasks.quality.report.period import asked_period, period_of, span_of, zone_of

BERLIN, NOW = ZoneInfo("Europe/Berlin"), datetime(2026, 11, 22, 12, tzinfo=UTC)


def day(when: str, zone: str = "Europe/Berlin", now: datetime = NOW) -> period.Period:
    return period_of("day", when, ZoneInfo(zone), now)


@pytest.mark.parametrize(
    ("when", "zone", "hours"),
    [
        ("2026-03-29", "Europe/Berlin", 23),
        ("2026-10-25", "Europe/Berlin", 25),
        ("2026-11-21", "Europe/Berlin", 24),
        ("2018-11-04", "America/Sao_Paulo", 23),  # the clock went from 00:00 to 01:00
        ("2025-11-02", "America/Havana", 25),  # from 01:00 back to 00:00: midnight was there twice
        ("2026-10-04", "Australia/Lord_Howe", 23.5),
        ("2026-11-21", "Asia/Kathmandu", 24),
    ],
)
def test_a_day_is_as_long_as_its_zone_says(when: str, zone: str, hours: float) -> None:
    found = day(when, zone)
    assert found.now.seconds == hours * 3600
    assert found.before_until == found.since and found.is_over
    before, after = (datetime.fromisoformat(when).date() + timedelta(days=one) for one in (-1, 1))
    assert day(f"{before}", zone).until == found.since
    assert day(f"{after}", zone).since == found.until, "no moment is of no day or of two"


def test_edges_are_half_open() -> None:
    found = day("2026-11-21").now
    assert found.since == datetime(2026, 11, 20, 23, tzinfo=UTC)
    assert found.since in found and found.until not in found
    assert found.until - timedelta(microseconds=1) in found
    assert (found.slice_of(found.since, 24), found.slice_of(found.until - timedelta(microseconds=1), 24)) == (0, 23)


def test_a_week_begins_on_monday_and_may_be_named_by_any_of_its_days() -> None:
    by_name, by_day = (period_of("week", when, BERLIN, NOW) for when in ("2026-W46", "2026-11-15"))
    assert by_name == by_day == period_of("week", "", BERLIN, NOW)
    assert (by_name.name, by_name.slices) == ("2026-W46", 168)
    assert [f"{one:%a}" for one, _ in by_name.days()] == ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
    assert by_name.title == "week 2026-W46, 2026-11-09 to 2026-11-15"
    assert period_of("week", "2026-12-30", BERLIN, datetime(2027, 2, 1, tzinfo=UTC)).name == "2026-W53"


def test_the_latest_is_the_one_that_is_over() -> None:
    assert day("").name == day("yesterday").name == "2026-11-21"
    at_night = datetime(2026, 11, 21, 23, 30, tzinfo=UTC)
    assert day("", now=at_night).name == "2026-11-21", "in Berlin the next day has begun"
    assert day("", zone="UTC", now=at_night).name == "2026-11-20"


def test_what_is_not_over_is_compared_with_as_much_of_the_one_before() -> None:
    found = day("today")
    assert (found.until, found.is_over) == (NOW, False)
    assert found.before.seconds == found.now.seconds == 13 * 3600
    assert found.before_since == datetime(2026, 11, 20, 23, tzinfo=UTC)
    assert found.title == "Sunday 2026-11-22, so far"


def test_a_span_is_compared_with_as_long_a_one() -> None:
    found = span_of("2026-11-20T10:00", "2026-11-20T16:00", BERLIN, NOW)
    assert found.since == datetime(2026, 11, 20, 9, tzinfo=UTC) and found.before.seconds == found.now.seconds
    assert found.name == "20261120T090000Z-to-20261120T150000Z"
    assert span_of("2026-11-20T10:00Z", "", BERLIN, NOW).until == NOW
    with pytest.raises(BadInput, match="no period"):
        span_of("2026-11-20", "2026-11-19", BERLIN, NOW)
    with pytest.raises(BadInput, match="no moment"):
        span_of("lately", "", BERLIN, NOW)


@pytest.mark.parametrize(
    ("kind", "when", "told"),
    [
        ("day", "soon", "'soon' is no day"),
        ("day", "2026-W47", "is no day"),
        ("day", "2026-11-23", "has not begun"),
        ("week", "2026-W54", "is no week"),
        ("day", "9999-12-31", "is no day"),
        ("day", "0001-01-01", "is no day"),
    ],
)
def test_what_is_no_period_is_told(kind: period.Kind, when: str, told: str) -> None:
    with pytest.raises(BadInput, match=told):
        asked_period(kind, when, since="", until="", zone="Europe/Berlin", now=NOW)


def test_the_zone_is_that_of_tz_or_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", ":Asia/Ho_Chi_Minh")
    assert zone_of("").key == "Asia/Ho_Chi_Minh" and zone_of("Europe/Berlin").key == "Europe/Berlin"
    monkeypatch.delenv("TZ")
    assert isinstance(zone_of(""), ZoneInfo)
    for wrong in ("Mars/Olympus", "../../etc/passwd"):
        with pytest.raises(BadInput, match="no time zone"):
            zone_of(wrong)
