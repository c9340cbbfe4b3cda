"""The latest audit, as Prometheus is told it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from blocks.store import LocalFiles
from deployments.gateway.metrics.quality import QualityLook
from tasks.quality.audit.history import PeriodRow, keep_period
from tasks.quality.audit.judged import AuditReport, Judged, JudgedSuite
from tasks.quality.audit.keep import report_key

DAY = datetime(2026, 11, 21, tzinfo=UTC)


def audited(files: LocalFiles, name: str, since: datetime, until: datetime, **fields: Any) -> None:
    facts: dict[str, Any] = {"audited_at": until, "jobs": 7, "rtf": 0.25} | fields
    row = PeriodRow(name=name, since=since, until=until, **facts)
    outcomes: list[tuple[str, Any, Any]] = [
        ("coverage", "critical", "failed"),
        ("confidence", "warning", "broken"),
        ("language", "info", "failed"),
        ("times", "critical", "passed"),
    ]
    suite = JudgedSuite(
        name="jobs",
        table="jobs",
        title="Jobs",
        rows=7,
        expectations=tuple(
            Judged(suite="jobs", id=one, says="", severity=severity, outcome=outcome)
            for one, severity, outcome in outcomes
        ),
    )
    report = AuditReport(run_id="r", period=row, suites=(suite,))
    files.put_bytes(report_key(name), report.model_dump_json().encode())
    keep_period(files, row)


def told(files: LocalFiles) -> dict[tuple[str, ...], float]:
    families = QualityLook(files).latest()
    assert families is not None
    return {(one.name, *one.labels.values()): one.value for family in families for one in family.samples}


def test_where_nothing_was_audited_there_is_nothing(tmp_path: Path) -> None:
    assert QualityLook(LocalFiles(tmp_path)).latest() is None


def test_verdict_expectations_and_figures_are_told(tmp_path: Path) -> None:
    files = LocalFiles(tmp_path)
    audited(files, "2026-11-21", DAY, DAY + timedelta(days=1), lost_jobs=2)
    found = told(files)
    verdicts = {key[1]: value for key, value in found.items() if key[0] == "c500_quality_verdict"}
    assert verdicts == {"passed": 0, "warned": 0, "failed": 1}
    assert found["c500_quality_unmet", "jobs", "critical"] == found["c500_quality_unmet", "jobs", "warning"] == 1
    assert found["c500_quality_expectations", "jobs", "failed"] == 2
    assert (found["c500_quality_jobs",], found["c500_quality_real_time_ratio",]) == (7, 0.25)
    assert found["c500_quality_lost_jobs",] == 2
    assert found["c500_quality_period_end_timestamp_seconds",] == (DAY + timedelta(days=1)).timestamp()
    assert ("c500_quality_confidence_ratio",) not in found  # it is not known


def test_of_a_day_and_its_week_the_day_is_told_and_not_an_older_one(tmp_path: Path) -> None:
    files = LocalFiles(tmp_path)
    audited(files, "2026-11-21", DAY, DAY + timedelta(days=1), unreadable=1)
    audited(files, "2026-W47", DAY - timedelta(days=6), DAY + timedelta(days=1), unreadable=2)
    audited(files, "2026-11-20", DAY - timedelta(days=1), DAY, unreadable=3)
    assert told(files)["c500_quality_unreadable",] == 1


def test_a_period_that_is_not_over_counts_up_to_when_it_was_audited(tmp_path: Path) -> None:
    files, noon, end = LocalFiles(tmp_path), DAY + timedelta(hours=12), DAY + timedelta(days=1)
    audited(files, "2026-11", DAY - timedelta(days=20), DAY + timedelta(days=10), audited_at=noon, unreadable=1)
    found = told(files)
    assert (found["c500_quality_unreadable",], found["c500_quality_period_end_timestamp_seconds",]) == (
        1,
        noon.timestamp(),
    )
    audited(files, "2026-11-21", DAY, end, audited_at=end + timedelta(hours=1), unreadable=2)
    found = told(files)
    assert (found["c500_quality_unreadable",], found["c500_quality_period_end_timestamp_seconds",]) == (
        2,
        end.timestamp(),
    )
