"""Profiles that expire: in force for as long as somebody said, and never longer."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from blocks.action import Action
from blocks.errors import BadInput, StoreFailed
from blocks.policy import Policy, activate, active, deactivate
from blocks.policy.activation import FILE

NOW = datetime(2026, 3, 2, 10, tzinfo=UTC)
HOUR = timedelta(hours=1)
SCALE = Action(tool="kubectl_scale", arguments={}, risk="medium", outside=True)


def decided(folder: Path | None, now: datetime) -> tuple[str, str]:
    decision = Policy.read().placed(state=folder).decide(SCALE, "incident", now=now, attended=True)
    return decision.profile, decision.verdict


def test_incident_is_in_force_until_its_end(tmp_path: Path) -> None:
    activate(tmp_path, "ann", "the database is down", 3600, now=NOW)
    assert decided(tmp_path, NOW) == ("incident", "notify")
    assert decided(tmp_path, NOW + HOUR - timedelta(seconds=1)) == ("incident", "notify")
    assert decided(tmp_path, NOW + HOUR) == ("production", "ask")


def test_expired_incident_says_so(tmp_path: Path) -> None:
    activate(tmp_path, "ann", "the database is down", 3600, now=NOW)
    decision = Policy.read().placed(state=tmp_path).decide(SCALE, "incident", now=NOW + HOUR, attended=True)
    assert decision.reason.startswith("incident is not in force, so production is: ")


def test_incident_that_nobody_activated_is_production(tmp_path: Path) -> None:
    assert decided(tmp_path, NOW) == decided(None, NOW) == ("production", "ask")


def test_incident_may_be_given_its_end_instead(tmp_path: Path) -> None:
    activation = activate(tmp_path, "ann", "down", until=NOW + HOUR, now=NOW)
    assert active(tmp_path, NOW) == activation
    assert activation.until == NOW + HOUR


def test_incident_ends_before_its_time(tmp_path: Path) -> None:
    activate(tmp_path, "ann", "down", 3600, now=NOW)
    assert deactivate(tmp_path)
    assert active(tmp_path, NOW) is None
    assert not deactivate(tmp_path)


def test_later_activation_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    activate(tmp_path, "ann", "down", 3600, now=NOW)
    later = activate(tmp_path, "bob", "still down", 7200, now=NOW + HOUR / 2)
    assert active(tmp_path, NOW + HOUR) == later
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


def test_clock_that_was_set_back_brings_nothing_back(tmp_path: Path) -> None:
    activate(tmp_path, "ann", "down", 3600, now=NOW)
    assert active(tmp_path, NOW - timedelta(seconds=30)) is not None
    assert active(tmp_path, NOW - timedelta(hours=3)) is None


def test_only_the_profile_that_was_activated_is_in_force(tmp_path: Path) -> None:
    activate(tmp_path, "ann", "down", 3600, now=NOW, profile="release")
    assert decided(tmp_path, NOW) == ("production", "ask")


def test_profile_lasts_no_longer_than_it_may(tmp_path: Path) -> None:
    policy = Policy.parse(
        "profiles:\n  release: {about: going out, falls_back_to: production, lasts_at_most_s: 600}\n"
    ).placed(state=tmp_path)
    activate(tmp_path, "ann", "out", 601, now=NOW, profile="release")
    assert policy.in_force("release", NOW) == "production"
    activate(tmp_path, "ann", "out", 600, now=NOW, profile="release")
    assert policy.in_force("release", NOW) == "release"


@pytest.mark.parametrize(
    ("by", "reason", "lasts_s"),
    [
        ("ann", "down", 24 * 3600 + 1),
        ("ann", "down", 0),
        ("ann", "down", -5),
        ("ann", "down", float("nan")),
        ("ann", "down", float("inf")),
        ("ann", "down", None),
        ("", "down", 60),
        ("ann", " ", 60),
    ],
)
def test_activation_without_person_reason_or_end_is_refused(
    tmp_path: Path, by: str, reason: str, lasts_s: float | None
) -> None:
    with pytest.raises(BadInput):
        activate(tmp_path, by, reason, lasts_s, now=NOW)
    assert active(tmp_path, NOW) is None


def test_activation_has_one_end_and_a_zone(tmp_path: Path) -> None:
    with pytest.raises(BadInput):
        activate(tmp_path, "ann", "down", 60, until=NOW + HOUR, now=NOW)
    with pytest.raises(BadInput):
        activate(tmp_path, "ann", "down", 60, now=NOW.replace(tzinfo=None))


@pytest.mark.parametrize("content", ["", "{", "{}", "[]", '{"profile": "incident"}'])
def test_damaged_activation_is_told_and_nothing_is_in_force(tmp_path: Path, content: str) -> None:
    (tmp_path / FILE).write_text(content)
    with pytest.raises(StoreFailed):
        active(tmp_path, NOW)
    assert decided(tmp_path, NOW) == ("production", "ask")


def test_activation_written_by_hand_for_longer_is_not_in_force(tmp_path: Path) -> None:
    activate(tmp_path, "ann", "down", 3600, now=NOW)
    written = json.loads((tmp_path / FILE).read_text())
    (tmp_path / FILE).write_text(json.dumps({**written, "until": (NOW + 48 * HOUR).isoformat()}))
    assert decided(tmp_path, NOW) == ("production", "ask")


def test_activation_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreFailed):
        activate(tmp_path / "file", "ann", "down", 60, now=NOW)
