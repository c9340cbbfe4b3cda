"""What operations have come to: their runs, incidents, migrations, drift and capacity, by what the store says."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple, TypeVar

from prometheus_client.metrics_core import Metric as Family

from blocks.errors import NotFound
from blocks.manifests import NAME as MANIFEST
from blocks.store.files import Files
from deployments.gateway.metrics.families import Labels, gauge_family
from deployments.gateway.metrics.files import Facts
from tasks.ops.capacity.report import ORDER, CapacityReport, Outlook
from tasks.ops.drift.report import WORST_FIRST, DriftReport
from tasks.ops.incident.incident import SEVERITIES, Incident
from tasks.ops.incident.intake import PREFIX as INCIDENTS
from tasks.ops.migration.kept import PREFIX as MIGRATIONS
from tasks.ops.migration.states import MigrationState
from tasks.ops.run_records import PREFIX as RUNS
from tasks.ops.run_records import RunRecord

DAY_S = 86_400.0
MOST_RESOURCES = 50
DAMAGED, WARNING = "damaged", "warning"

T = TypeVar("T")


class _Run(NamedTuple):
    run_id: str
    flow: str
    outcome: str
    begun_at: datetime
    ended_at: datetime | None


class _Incident(NamedTuple):
    status: str
    severity: str
    opened_at: datetime
    is_briefed: bool


class _Migration(NamedTuple):
    status: str
    changed_at: datetime | None


class OperationsLook:
    """Looks at the runs of operations, and at what the latest ones found. Its verbs block; one at a time.

    Args:
        files: The store.
    """

    def __init__(self, files: Files) -> None:
        self._files = files
        self._runs = Facts(files, f"{RUNS}/", ".json", _run)
        self._incidents = Facts(
            files, f"{INCIDENTS}/", f"/{MANIFEST}", _incident, is_final=lambda one: one.status == "closed"
        )
        self._migrations = Facts(
            files, f"{MIGRATIONS}/", f"/{MANIFEST}", _migration, is_final=lambda one: one.status == "rolled_back"
        )

    def runs(self) -> Sequence[Family]:
        """Of the part `operations`."""
        counts, oldest, completed, now = Counter[Labels](), dict[Labels, float](), dict[Labels, float](), _now()
        for one in _well(self._runs.look()):
            counts[one.flow, one.outcome] += 1
            if one.ended_at is None:
                oldest[one.flow,] = max(oldest.get((one.flow,), 0.0), _since(one.begun_at, now))
            elif one.outcome == "completed":
                completed[one.flow,] = max(completed.get((one.flow,), 0.0), one.ended_at.timestamp())
        return [
            gauge_family("c500_operations_runs", counts),
            gauge_family("c500_operations_oldest_open_seconds", oldest),
            gauge_family("c500_operations_completed_timestamp_seconds", completed),
        ]

    def incidents(self) -> Sequence[Family]:
        """Of the part `incident`."""
        found, now = self._incidents.look(), _now()
        known = list(_well(found))
        states = Counter({(state,): 0 for state in ("open", "resolved", "closed", DAMAGED)})
        states.update((one.status if one else DAMAGED,) for one in found.values())
        is_open = [one for one in known if one.status == "open"]
        oldest = dict[Labels, float]()
        for one in is_open:
            oldest[one.severity,] = max(oldest.get((one.severity,), 0.0), _since(one.opened_at, now))
        return [
            gauge_family("c500_incident_stored", states),
            gauge_family("c500_incident_open", Counter((one.severity,) for one in is_open)),
            gauge_family("c500_incident_oldest_seconds", oldest),
            gauge_family("c500_incident_unbriefed", sum(not one.is_briefed for one in is_open)),
        ]

    def migrations(self) -> Sequence[Family]:
        """Of the part `migration`."""
        found, still, now = self._migrations.look(), dict[Labels, float](), _now()
        for one in _well(found):
            if one.status not in ("done", "rolled_back") and one.changed_at is not None:
                still[one.status,] = max(still.get((one.status,), 0.0), _since(one.changed_at, now))
        states = Counter((one.status if one else DAMAGED,) for one in found.values())
        return [gauge_family("c500_migration_stored", states), gauge_family("c500_migration_still_seconds", still)]

    def drift(self) -> Sequence[Family] | None:
        """Of the part `drift`; None where nobody has looked for any."""
        return self._latest("detect-drift", "operations/drift", _drift)

    def capacity(self) -> Sequence[Family] | None:
        """Of the part `capacity`; None where nobody has asked."""
        return self._latest("plan-capacity", "operations/capacity", _capacity)

    def _latest(
        self, flow: str, folder: str, families: Callable[[bytes, datetime], list[Family]]
    ) -> Sequence[Family] | None:
        """What the report of a flow's latest run says; a run that was cleaned away is as if it had not been."""
        runs = (one for one in _well(self._runs.look()) if one.flow == flow and one.outcome == "completed")
        for one in sorted(runs, key=lambda one: one.ended_at or one.begun_at, reverse=True):
            try:
                content = self._files.read_bytes(f"{folder}/{one.run_id}/report.json")
            except NotFound:
                continue
            return families(content, one.ended_at or one.begun_at)
        return None


def _run(content: bytes) -> _Run:
    one = RunRecord.model_validate_json(content)
    return _Run(one.run_id, one.flow, one.ended or "open", one.begun_at, one.ended_at if one.ended else None)


def _incident(content: bytes) -> _Incident:
    one = Incident.model_validate_json(json.loads(content)["content"])
    severity = one.severity if one.severity in SEVERITIES else WARNING
    return _Incident(one.status, severity, one.opened_at, one.briefed_at is not None)


def _migration(content: bytes) -> _Migration:
    one = MigrationState.model_validate_json(json.loads(content)["content"])
    return _Migration(one.status, one.history[-1].at if one.history else None)


def _drift(content: bytes, at: datetime) -> list[Family]:
    report = DriftReport.model_validate_json(content)
    counts = Counter({(state,): 0 for state in WORST_FIRST})
    counts.update((one.state,) for one in report.left)
    return [
        gauge_family("c500_drift_items", counts),
        gauge_family("c500_drift_checked_timestamp_seconds", at.timestamp()),
    ]


def _capacity(content: bytes, at: datetime) -> list[Family]:
    report = CapacityReport.model_validate_json(content)
    counts = Counter({(level,): 0 for level in ORDER})
    counts.update((one.level,) for one in report.outlooks)
    known = [one for one in report.outlooks if one.earliest_days is not None or one.status == "exhausted"]
    soonest = sorted(known, key=_days)
    return [
        gauge_family("c500_capacity_resources", counts),
        gauge_family(
            "c500_capacity_exhaustion_seconds",
            # From now on: the outlook itself becomes older until the next one.
            {
                (one.name[:100],): max(0.0, DAY_S * _days(one) - _since(at, _now()))
                for one in reversed(soonest[:MOST_RESOURCES])
            },
        ),
        gauge_family("c500_capacity_checked_timestamp_seconds", at.timestamp()),
    ]


def _days(one: Outlook) -> float:
    return 0.0 if one.status == "exhausted" else one.earliest_days or 0.0


def _well(found: Mapping[str, T | None]) -> Iterable[T]:
    return (one for one in found.values() if one is not None)


def _since(at: datetime, now: datetime) -> float:
    aware = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    return max(0.0, (now - aware).total_seconds())


def _now() -> datetime:
    return datetime.now(UTC)
