"""Alerts taken in: one incident for what belongs together, whoever is told, in whatever order."""

import json
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.errors import BadInput, Conflict, NotFound
from blocks.redact import Redactor
from blocks.store import LocalFiles
from tasks.ops.incident.incident import FIRST_EVENTS, LAST_EVENTS, REJOIN, Incident, closed
from tasks.ops.incident.intake import INDEX, Received, change, incidents, latest, receive
from tasks.ops.incident.notification import MOST_ALERTS, MOST_LABELS, notification_of, read_notification

NOW = datetime(2026, 11, 20, 3, 0, tzinfo=UTC)


def webhook(name: str = "Down", status: str = "firing", group: str = "g", **labels: str) -> dict[str, Any]:
    told = {"alertname": name, "service": "checkout", **labels}
    alert = {"status": status, "labels": told, "startsAt": "2026-11-20T02:55:00Z", "endsAt": "0001-01-01T00:00:00Z"}
    return {"version": "4", "groupKey": group, "alerts": [alert]}


def services_of(labels: Any) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one["service"] for one in labels if "service" in one))


def tell(files: LocalFiles, told: Any, now: datetime = NOW, incident_id: str | None = None) -> Received:
    return receive(files, notification_of(told), services_of, Redactor(), now=now, incident_id=incident_id)


@pytest.fixture
def files(tmp_path: Path) -> LocalFiles:
    return LocalFiles(tmp_path / "store")


def state(got: Received) -> Incident:
    assert got.incident is not None
    return got.incident


def test_an_alert_opens_an_incident_that_began_when_the_alert_did(files: LocalFiles) -> None:
    got = tell(files, webhook(severity="critical"))
    assert got.is_new
    assert state(got).began_at == NOW - timedelta(minutes=5)
    assert (state(got).severity, state(got).services, state(got).status) == ("critical", ("checkout",), "open")


@pytest.mark.parametrize(
    ("told", "joins"),
    [
        (webhook("Other"), True),  # the same group
        (webhook(group="other"), True),  # the same alert
        (webhook("Other", group="other"), False),
    ],
)
def test_what_belongs_together_is_one_incident(files: LocalFiles, told: Any, joins: bool) -> None:
    first, second = tell(files, webhook()), tell(files, told)
    assert (state(first).incident_id == state(second).incident_id) is joins
    assert second.is_new is not joins


def test_an_incident_that_is_over_is_opened_again_for_a_while_and_then_it_is_another(files: LocalFiles) -> None:
    first = state(tell(files, webhook()))
    over = state(tell(files, webhook(status="resolved"), NOW + timedelta(minutes=1)))
    assert (over.incident_id, over.status) == (first.incident_id, "resolved")
    again = state(tell(files, webhook(), NOW + timedelta(minutes=30)))
    assert (again.incident_id, again.status, again.resolved_at) == (first.incident_id, "open", None)
    tell(files, webhook(status="resolved"), NOW + timedelta(minutes=31))
    later = tell(files, webhook(), NOW + timedelta(minutes=32) + REJOIN)
    assert later.is_new and state(later).incident_id != first.incident_id
    assert [one.kind for one in again.timeline] == ["opened", "alert", "resolved", "resolved", "alert", "again"]


def test_what_comes_after_a_person_has_closed_it_is_another_incident(files: LocalFiles) -> None:
    first = state(tell(files, webhook()))
    change(files, first.incident_id, lambda one: closed(one, NOW, "ann", "", "restarted"))
    assert state(tell(files, webhook())).incident_id != first.incident_id
    with pytest.raises(Conflict):
        tell(files, webhook(), incident_id=first.incident_id)
    with pytest.raises(Conflict):
        change(files, first.incident_id, lambda one: closed(one, NOW, "ann", "", ""))


def test_the_end_of_what_nobody_knows_opens_nothing(files: LocalFiles) -> None:
    assert tell(files, webhook(status="resolved")).incident is None
    assert latest(files, 10, only_open=False) == []


def test_a_name_that_a_dead_process_left_in_the_index_is_filled(files: LocalFiles) -> None:
    first = state(tell(files, webhook()))
    incidents(files).remove(first.incident_id)
    assert json.loads(files.read_bytes(INDEX))["takers"]
    got = tell(files, webhook())
    assert got.is_new and state(got).incident_id == first.incident_id


def _tell_in_process(root: str, number: int) -> tuple[str, bool]:
    got = tell(LocalFiles(Path(root)), webhook(group="" if number % 2 else "g", pod=str(number % 5)))
    return state(got).incident_id, got.is_new


def test_processes_that_are_told_at_once_make_one_incident(tmp_path: Path) -> None:
    with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as pool:  # all even: one group, five pods
        told = list(pool.map(_tell_in_process, [str(tmp_path)] * 40, [number // 5 * 2 for number in range(40)]))
    assert len({incident for incident, _ in told}) == 1
    found = incidents(LocalFiles(tmp_path)).read(told[0][0])
    assert sum(one.told for one in found.alerts) == 40


def test_secrets_and_what_nobody_sees_are_not_kept(files: LocalFiles, tmp_path: Path) -> None:
    told = webhook(url="https://ann:hunter2hunter2@host/", hidden="a\u202eb\x1b[2J")
    told["alerts"][0]["annotations"] = {"summary": "password=hunter2hunter2 failed"}
    tell(files, told)
    kept = b"".join(path.read_bytes() for path in (tmp_path / "store").rglob("*") if path.is_file())
    assert b"hunter2" not in kept
    assert not any(part in kept for part in (b"\\u202e", "\u202e".encode(), b"\\u001b"))


def test_alerts_whose_secrets_differ_stay_two(files: LocalFiles) -> None:
    tell(files, webhook(token="aaaaaaaaaaaaaaaa1"))
    assert len(state(tell(files, webhook(token="aaaaaaaaaaaaaaaa2"))).alerts) == 2


def test_too_many_alerts_and_labels_are_cut_and_counted_since_alertmanager_would_not_send_them_again() -> None:
    many = {f"a{number}": "x" for number in range(100)} | {"alertname": "Down", "service": "checkout"}
    told = notification_of({"alerts": [{"labels": many}] * (MOST_ALERTS + 7), "truncatedAlerts": 3})
    assert (len(told.alerts), told.truncated) == (MOST_ALERTS, 10)
    assert len(told.alerts[0].labels) == MOST_LABELS
    assert (told.alerts[0].name, told.alerts[0].labels["service"]) == ("Down", "checkout")


def test_a_timeline_keeps_its_beginning_and_its_end(files: LocalFiles) -> None:
    incident = state(tell(files, webhook()))
    for number in range(FIRST_EVENTS + LAST_EVENTS + 50):
        incident = incident.with_event(NOW, "note", str(number))
    assert len(incident.timeline) == FIRST_EVENTS + LAST_EVENTS
    assert incident.events_left_out == 52
    assert (incident.timeline[0].kind, incident.timeline[-1].says) == ("opened", "649")


@pytest.mark.parametrize("name", ["../x", "", "A", "a/b", "a" * 65, "a\n"])
def test_an_id_is_an_id(files: LocalFiles, name: str) -> None:
    with pytest.raises(BadInput):
        tell(files, webhook(), incident_id=name or "\n")
    with pytest.raises(NotFound):
        change(files, "nothing", lambda one: one)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from(["alerts", "labels", "status", "startsAt", "groupKey", "x"]), inner, max_size=5
            )
        ),
        max_leaves=20,
    )
)
def test_whatever_comes_is_a_notification_or_refused_with_its_field(content: Any) -> None:
    try:
        told = notification_of(content)
    except BadInput as error:
        assert error.details["field"] and error.details["field"].isprintable() and error.fix
    else:
        assert told.alerts


def test_a_file_may_hold_a_single_alert_in_yaml(tmp_path: Path) -> None:
    path = tmp_path / "alert.yaml"
    path.write_text("labels: {alertname: Down, service: checkout}\nstartsAt: 2026-11-20T02:55:00Z\n")
    [alert] = read_notification(path).alerts
    assert (alert.name, alert.starts_at) == ("Down", NOW - timedelta(minutes=5))
