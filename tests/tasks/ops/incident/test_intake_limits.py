"""What alerts and stores can do to the intake: too many, too long, out of time, damaged, closed meanwhile."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from blocks.errors import BadInput
from blocks.redact import Redactor
from blocks.store import LocalFiles
from tasks.ops.incident.incident import FIRST_EVENTS, LAST_EVENTS, MOST_ALERTS, Incident, closed, title_of
from tasks.ops.incident.intake import INDEX, change, incidents, latest, open_now, receive
from tasks.ops.incident.notification import MOST_ALERTS as MOST_TOLD
from tasks.ops.incident.notification import notification_of, read_notification

NOW = datetime(2026, 11, 20, 3, 0, tzinfo=UTC)


def alert(name: str, status: str = "firing", starts: Any = "2026-11-20T02:55:00Z", **labels: str) -> dict[str, Any]:
    return {"status": status, "labels": {"alertname": name, **labels}, "startsAt": starts}


def tell(files: LocalFiles, *alerts: dict[str, Any], group: str = "g", truncated: int = 0) -> Incident:
    told = notification_of({"groupKey": group, "truncatedAlerts": truncated, "alerts": list(alerts)})
    got = receive(files, told, lambda labels: (), Redactor(), now=NOW)
    assert got.incident is not None
    return got.incident


@pytest.fixture
def files(tmp_path: Path) -> LocalFiles:
    return LocalFiles(tmp_path / "store")


def full(files: LocalFiles, status: str) -> Incident:
    """An incident with as many alerts as it keeps."""
    names = [f"A{number}" for number in range(MOST_ALERTS)]
    parts = [names[first : first + MOST_TOLD] for first in range(0, MOST_ALERTS, MOST_TOLD)]
    states = ("firing",) if status == "firing" else ("firing", "resolved")
    return [tell(files, *(alert(name, one) for name in part)) for one in states for part in parts][-1]


def test_an_alert_that_fires_is_seen_however_many_were_there_before(files: LocalFiles) -> None:
    assert full(files, "resolved").status == "resolved"
    known = tell(files, alert("Last"))
    assert known.status == "open"
    assert [one.name for one in known.firing] == ["Last"]
    assert len(known.alerts) == MOST_ALERTS


def test_what_is_left_out_is_counted_once_however_often_it_is_told(files: LocalFiles) -> None:
    full(files, "firing")
    assert [tell(files, alert("One"), alert("More")).alerts_left_out for _ in range(3)] == [2, 2, 2]
    assert [tell(files, alert("A1"), truncated=5).alerts_left_out for _ in range(3)] == [5, 5, 5]


def test_of_too_many_alerts_those_that_fire_are_kept() -> None:
    over = [alert(f"A{number}", "resolved") for number in range(MOST_TOLD)]
    told = notification_of({"alerts": [*over, alert("Down")]})
    assert [one.name for one in told.firing] == ["Down"]
    assert (len(told.alerts), told.truncated) == (MOST_TOLD, 1)


def test_a_group_key_of_any_length_is_one(files: LocalFiles) -> None:
    long = '{}:{x="' + "y" * 20_000
    first = tell(files, alert("Down"), group=long)
    assert tell(files, alert("Other"), group=long).incident_id == first.incident_id
    assert tell(files, alert("Third"), group=f"{long}z").incident_id != first.incident_id


@pytest.mark.parametrize("starts", ["9999-12-31T23:59:59-02:00", "0001-01-02T00:00:00+48:00", 1e18])
def test_a_moment_out_of_all_time_is_refused_with_its_field(starts: Any) -> None:
    with pytest.raises(BadInput) as raised:
        notification_of({"alerts": [alert("Down", starts=starts)]})
    assert raised.value.details["field"] == "alerts.0.startsAt"


def test_the_zero_time_is_no_time_in_yaml_either(tmp_path: Path) -> None:
    path = tmp_path / "alert.yaml"
    path.write_text("labels: {alertname: Down}\nstartsAt: 0001-01-01T00:00:00Z\nendsAt: 0001-01-01T00:00:00Z\n")
    [told] = read_notification(path).alerts
    assert told.starts_at is told.ends_at is None


@pytest.mark.parametrize("name", ["", " ", "\n\t"])
def test_an_alert_without_a_name_has_one(name: str) -> None:
    assert title_of(notification_of({"alerts": [alert(name)]})) == "alert"


def test_an_incident_began_with_the_first_of_its_alerts_whenever_that_was_told(files: LocalFiles) -> None:
    tell(files, alert("Down"))
    known = tell(files, alert("Slow", starts="2026-11-20T02:30:00Z"))
    assert known.began_at == NOW - timedelta(minutes=30)


def test_alerts_that_flap_leave_what_people_did_on_the_timeline(files: LocalFiles) -> None:
    known = tell(files, alert("Down"))
    for number in range(FIRST_EVENTS):
        known = known.with_event(NOW, "alert", str(number))
    known = known.with_event(NOW, "note", "pool enlarged", "ann")
    for number in range(2 * (FIRST_EVENTS + LAST_EVENTS)):
        known = known.with_event(NOW, "again", str(number))
    assert len(known.timeline) == FIRST_EVENTS + LAST_EVENTS
    assert [one.says for one in known.timeline if one.kind == "note"] == ["pool enlarged"]
    assert known.timeline[-1].says == str(2 * (FIRST_EVENTS + LAST_EVENTS) - 1)


def test_an_incident_that_is_damaged_holds_up_no_alert_and_hides_no_other(files: LocalFiles) -> None:
    damaged, other = tell(files, alert("Down")), tell(files, alert("Other"), group="other")
    files.put_bytes(f"operations/incidents/{damaged.incident_id}/manifest.json", b"{}")
    assert tell(files, alert("Other"), group="other").incident_id == other.incident_id
    again = tell(files, alert("Down"))
    assert again.incident_id != damaged.incident_id
    wanted = {other.incident_id, again.incident_id}
    assert {one.incident_id for one in latest(files, 10, only_open=False)} == wanted
    assert {one.incident_id for one in open_now(files)} == wanted


class ClosedMeanwhile(LocalFiles):
    """A store in which a person closes an incident just before an alert joins it."""

    closing: str = ""

    def put_if(self, key: str, content: bytes, version: str | None) -> str:
        if key == INDEX and self.closing:
            name, self.closing = self.closing, ""
            change(self, name, lambda one: closed(one, NOW, "ann", "", ""))
        return super().put_if(key, content, version)


def test_an_alert_whose_incident_is_closed_at_that_moment_opens_another(tmp_path: Path) -> None:
    files = ClosedMeanwhile(tmp_path / "store")
    first = tell(files, alert("Down"))
    files.closing = first.incident_id
    second = tell(files, alert("Down"))
    assert second.incident_id != first.incident_id
    assert (incidents(files).read(first.incident_id).status, second.status) == ("closed", "open")


def test_only_open_incidents_are_looked_through_for_those_nearby(files: LocalFiles) -> None:
    first, second = tell(files, alert("Down")), tell(files, alert("Other"), group="other")
    tell(files, alert("Down", "resolved"))
    assert [one.incident_id for one in open_now(files)] == [second.incident_id]
    tell(files, alert("Down"))
    assert {one.incident_id for one in open_now(files)} == {first.incident_id, second.incident_id}
