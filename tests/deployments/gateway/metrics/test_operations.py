"""What the store says of operations, incidents, migrations, drift and capacity."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.metrics_core import Metric as Family

from blocks.manifests import Manifests
from blocks.store import LocalFiles
from blocks.store.files import Files
from deployments.gateway.metrics.operations import OperationsLook
from tasks.ops.capacity.report import CapacityReport, Outlook
from tasks.ops.drift.found import Found
from tasks.ops.drift.report import DriftReport
from tasks.ops.incident.incident import Incident
from tasks.ops.incident.intake import incidents
from tasks.ops.migration.kept import PREFIX as MIGRATIONS
from tasks.ops.migration.states import MigrationState, Moment, PhaseRecord, first_state
from tasks.ops.run_records import PREFIX as RUNS
from tasks.ops.run_records import RunRecord, RunRecords
from tests.tasks.ops.migration.plans import phase, plan

NOW = datetime.now(UTC)


@pytest.fixture
def files(tmp_path: Path) -> LocalFiles:
    return LocalFiles(tmp_path / "store")


def told(families: Sequence[Family] | None) -> dict[tuple[str, ...], float]:
    """What is told: names and label values."""
    return {
        (sample.name, *sample.labels.values()): sample.value for family in families or () for sample in family.samples
    }


def record(files: Files, flow: str, run_id: str, ended: Any = None, *, ago: timedelta = timedelta(hours=1)) -> None:
    records = RunRecords(files)
    records.begin(RunRecord(run_id=run_id, flow=flow, subject="", user="ann", begun_at=NOW - ago), same_subject=False)
    if ended:
        records.end(run_id, flow, ended)


def incident(files: Files, name: str, **fields: Any) -> None:
    first = Incident(incident_id=name, title="t", opened_at=NOW - timedelta(hours=2), began_at=NOW, **fields)
    with incidents(files).held(name, first):
        pass


def test_runs_are_told_by_flow_and_how_they_ended(files: LocalFiles) -> None:
    record(files, "clean-all", "a", "completed")
    record(files, "clean-all", "b", "failed")
    record(files, "migrate", "c", ago=timedelta(hours=3))
    record(files, "migrate", "d")
    found = told(OperationsLook(files).runs())
    assert found["c500_operations_runs", "clean-all", "completed"] == 1
    assert found["c500_operations_runs", "clean-all", "failed"] == 1
    assert found["c500_operations_runs", "migrate", "open"] == 2
    assert found["c500_operations_oldest_open_seconds", "migrate"] >= 3 * 3600
    ended_at = RunRecords(files).read("a", "clean-all").ended_at
    assert ended_at is not None
    assert found["c500_operations_completed_timestamp_seconds", "clean-all"] == ended_at.timestamp()
    assert not any(key[0].endswith("open_seconds") and key[1] == "clean-all" for key in found)


def test_a_run_that_goes_on_is_seen_to(files: LocalFiles) -> None:
    look = OperationsLook(files)
    record(files, "maintain", "a")
    assert told(look.runs())["c500_operations_runs", "maintain", "open"] == 1
    RunRecords(files).end("a", "maintain", "completed")
    assert told(look.runs())["c500_operations_runs", "maintain", "completed"] == 1


def test_incidents_are_told_by_state_severity_and_age_and_never_by_name(files: LocalFiles) -> None:
    incident(files, "inc-one", severity="critical")
    incident(files, "inc-two", severity="somebody's own word", briefed_at=NOW)
    incident(files, "inc-three", severity="high", status="resolved")
    incident(files, "inc-four", severity="high", status="closed")
    files.put_bytes("operations/incidents/inc-five/manifest.json", b'{"token": 1')
    files.put_bytes("operations/incidents/open.json", b'{"takers": {}}')
    look = OperationsLook(files)
    for _ in range(2):
        found = told(look.incidents())
    assert {key[1]: value for key, value in found.items() if key[0] == "c500_incident_stored"} == {
        "open": 2,
        "resolved": 1,
        "closed": 1,
        "damaged": 1,
    }
    assert found["c500_incident_open", "critical"] == found["c500_incident_open", "warning"] == 1
    assert found["c500_incident_oldest_seconds", "critical"] >= 7200
    assert found["c500_incident_unbriefed",] == 1
    assert not any("inc-" in value for key in found for value in key)


def test_an_incident_that_moves_is_read_again_and_one_that_is_closed_is_not(
    files: LocalFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    incident(files, "inc-one", severity="high")
    incident(files, "inc-two", severity="high", status="closed")
    look = OperationsLook(files)
    look.incidents()
    with incidents(files).held("inc-one") as held:
        held.put(held.state.model_copy(update={"status": "resolved"}))
    read: list[str] = []
    reading = LocalFiles.read_bytes
    monkeypatch.setattr(LocalFiles, "read_bytes", lambda self, key: (read.append(key), reading(self, key))[1])
    found = told(look.incidents())
    assert (found["c500_incident_stored", "open"], found["c500_incident_stored", "resolved"]) == (0, 1)
    assert read == ["operations/incidents/inc-one/manifest.json"]


def test_a_migration_that_stands_still_shows_for_how_long(files: LocalFiles, tmp_path: Path) -> None:
    state = first_state("move", "0" * 12, plan(tmp_path, phase("copy"))).model_copy(
        update={
            "phases": (PhaseRecord(name="copy", state="running"),),
            "history": (Moment(at=NOW - timedelta(hours=2), token=1),),
        }
    )
    with Manifests(files, MIGRATIONS, MigrationState, kind="migration").held("move", state):
        pass
    files.put_bytes(f"{MIGRATIONS}/other/manifest.json", b"[]")
    found = told(OperationsLook(files).migrations())
    assert found["c500_migration_stored", "running"] == found["c500_migration_stored", "damaged"] == 1
    assert found["c500_migration_still_seconds", "running"] >= 7200


def test_drift_is_that_of_the_latest_look(files: LocalFiles) -> None:
    look = OperationsLook(files)
    assert look.drift() is None
    for run_id, state in (("a", "missing"), ("b", "drifted")):
        found = Found(target="t", host="h", kind="file", name="/etc/motd", state=state)  # type: ignore[arg-type]
        report = DriftReport(run_id=run_id, declared="d.yaml", dry_run=False, found=(found,))
        files.put_bytes(f"operations/drift/{run_id}/report.json", report.model_dump_json().encode())
        record(files, "detect-drift", run_id, "completed")
    record(files, "detect-drift", "c", "failed")
    figures = told(look.drift())
    assert {key[1]: value for key, value in figures.items() if len(key) == 2} == {
        "drifted": 1,
        "missing": 0,
        "unexpected": 0,
        "unknown": 0,
    }
    ended_at = RunRecords(files).read("b", "detect-drift").ended_at
    assert ended_at is not None
    assert figures["c500_drift_checked_timestamp_seconds",] == ended_at.timestamp()


def test_capacity_is_that_of_the_latest_outlook(files: LocalFiles) -> None:
    outlooks = (
        Outlook(name="disk", status="forecast", level="critical", says="", earliest_days=2.5),
        Outlook(name="memory", status="exhausted", level="critical", says=""),
        Outlook(name="cpu", status="forecast", level="ok", says=""),
    )
    report = CapacityReport(run_id="a", plan="p.yaml", outlooks=outlooks)
    files.put_bytes("operations/capacity/a/report.json", report.model_dump_json().encode())
    record(files, "plan-capacity", "a", "completed")
    [key] = files.list(f"{RUNS}/")
    run = RunRecord.model_validate_json(files.read_bytes(key))
    a_day_ago = run.model_copy(update={"ended_at": datetime.now(UTC) - timedelta(days=1)})
    files.put_bytes(key, a_day_ago.model_dump_json().encode())
    figures = told(OperationsLook(files).capacity())
    assert figures["c500_capacity_resources", "critical"] == 2
    assert 129_000 < figures["c500_capacity_exhaustion_seconds", "disk"] <= 129_600, "a day and a half is left"
    assert figures["c500_capacity_exhaustion_seconds", "memory"] == 0
    assert ("c500_capacity_exhaustion_seconds", "cpu") not in figures


def test_a_report_that_was_cleaned_away_leaves_the_one_before(files: LocalFiles) -> None:
    report = CapacityReport(run_id="a", plan="p", outlooks=(Outlook(name="x", status="failed", level="warn", says=""),))
    files.put_bytes("operations/capacity/a/report.json", report.model_dump_json().encode())
    for run_id in ("a", "b"):
        record(files, "plan-capacity", run_id, "completed")
    assert told(OperationsLook(files).capacity())["c500_capacity_resources", "warn"] == 1
