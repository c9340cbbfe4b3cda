"""Times at which rules hold."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from pydantic import ValidationError

from blocks.policy.windows import Window


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def test_window_is_read_in_its_zone() -> None:
    office = Window(zone="Asia/Ho_Chi_Minh", start="09:00", end="17:00")
    assert office.holds(at("2026-03-02T02:00:00+00:00"))
    assert not office.holds(at("2026-03-02T10:00:00+00:00"))
    assert office.holds(at("2026-03-02T09:59:59+00:00"))
    assert office.holds(at("2026-03-01T21:00:00-05:00"))


def test_window_over_midnight_belongs_to_the_day_it_begins() -> None:
    friday_night = Window(zone="UTC", days=("fri",), start="22:00", end="06:00")
    assert friday_night.holds(at("2026-03-06T23:00:00+00:00"))
    assert friday_night.holds(at("2026-03-07T05:59:00+00:00"))
    assert not friday_night.holds(at("2026-03-07T22:30:00+00:00"))
    assert not friday_night.holds(at("2026-03-06T05:00:00+00:00"))


def test_window_has_first_and_last_dates() -> None:
    freeze = Window(zone="Asia/Ho_Chi_Minh", first=date(2026, 12, 24), last=date(2026, 12, 26))
    assert not freeze.holds(at("2026-12-23T16:59:00+00:00"))
    assert freeze.holds(at("2026-12-23T17:00:00+00:00"))
    assert freeze.holds(at("2026-12-26T16:59:00+00:00"))
    assert not freeze.holds(at("2026-12-26T17:00:00+00:00"))


def test_hour_that_a_clock_repeats_is_in_it_twice() -> None:
    night = Window(zone="Europe/Berlin", start="02:00", end="03:00")
    first = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert night.holds(first)
    assert night.holds(first + timedelta(hours=1))
    assert not night.holds(first + timedelta(hours=2))


def test_time_of_any_zone_is_taken() -> None:
    assert Window(zone="UTC", start="12:00", end="13:00").holds(
        datetime(2026, 1, 1, 7, 30, tzinfo=timezone(-timedelta(hours=5)))
    )


@pytest.mark.parametrize(
    "bad",
    [
        {"zone": "Mars/Base"},
        {"zone": "Asia"},
        {"zone": "../etc/passwd"},
        {"zone": "/etc/localtime"},
        {"zone": ""},
        {"zone": "UTC", "start": "9:00"},
        {"zone": "UTC", "start": "25:00"},
        {"zone": "UTC", "start": 1320},
        {"zone": "UTC", "start": "09:00", "end": "09:00"},
        {"zone": "UTC", "start": "24:00"},
        {"zone": "UTC", "days": ["monday"]},
        {"zone": "UTC", "days": []},
        {"zone": "UTC", "first": "2026-02-30"},
        {"zone": "UTC", "first": "2026-02-02", "last": "2026-02-01"},
        {},
    ],
)
def test_bad_window_is_refused(bad: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Window.model_validate(bad)
