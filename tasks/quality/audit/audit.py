"""An audit of a period, step by step; the flow does them in order."""

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from blocks.model import Frozen
from blocks.store.files import Files
from tasks.quality.audit.collect import Collected, Told, collect
from tasks.quality.audit.costs import Booked
from tasks.quality.audit.drift import LEAST_COUNT, DriftRow, drift
from tasks.quality.audit.history import PeriodRow, read_jobs, read_period
from tasks.quality.audit.job_row import JobRow, Known
from tasks.quality.audit.judge import judge
from tasks.quality.audit.judged import AuditReport, JudgedSuite, bad_of, verdict_of
from tasks.quality.audit.period import Period
from tasks.quality.audit.suite_files import TableName, read_suites
from tasks.quality.audit.sums import period_row


@dataclass(frozen=True, kw_only=True)
class Gathered:
    """All that a period is judged by.

    Attributes:
        found: What the store holds of it.
        before: Jobs of the period before, by the history.
        drift: The one against the other.
        row: The period in figures.
        notes: What could not be looked at.
    """

    found: Collected
    before: Sequence[JobRow]
    drift: Sequence[DriftRow]
    row: PeriodRow
    notes: tuple[str, ...]


def gather(
    files: Files,
    period: Period,
    known: Known,
    *,
    excused: Collection[str] | None,
    booked: Booked,
    told: Told = lambda _: None,
    now: datetime | None = None,
) -> Gathered:
    """Read a period and the one before it.

    Args:
        files: The store.
        period: Which.
        known: Templates and prices.
        excused: Jobs of which is known why they have no result; None when nobody could be asked.
        booked: What the books say of the period.
        told: Told how many jobs were read.
        now: The present.

    Raises:
        StoreFailed: the store cannot be read.
    """
    now = now or datetime.now(UTC)
    known = replace(known, booked_usd=booked.by_job)
    found = collect(files, period, known, excused or (), now, told)
    notes: list[str] = []
    if excused is None:  # a job without a result may have failed, or be at work: who would know does not answer
        found = found.model_copy(update={"lost": (), "lost_count": 0})
        notes.append("Prefect's server knows no runs of the period: jobs without a result were not looked for.")
    before, damaged = read_jobs(files, period.previous)
    if damaged:
        notes.append(f"{len(damaged)} lines of the history cannot be read; audit {period.previous.name} again.")
    if len(before) < LEAST_COUNT:
        notes.append(
            f"Drift was not judged: the history has {len(before)} jobs of {period.previous.name}, "
            f"and it takes {LEAST_COUNT}."
        )
    if period.until > now:
        notes.append("The period is not over: more jobs will finish in it.")
    row = period_row(period, found, before, booked, now)
    return Gathered(found=found, before=before, drift=drift(found.jobs, before), row=row, notes=tuple(notes))


def judged(gathered: Gathered, suites_dir: Path | None) -> tuple[JudgedSuite, ...]:
    """Hold a period against all suites.

    Raises:
        BadInput: a suite is wrong; the message has file and line.
        Unsupported: great-expectations is not installed.
    """
    tables: dict[TableName, Sequence[Frozen]] = {
        "jobs": gathered.found.jobs,
        "period": [gathered.row],
        "batches": gathered.found.batches,
        "drift": gathered.drift,
    }
    return judge(read_suites(suites_dir), tables)


def report_of(gathered: Gathered, suites: tuple[JudgedSuite, ...], run_id: str, *, dry_run: bool) -> AuditReport:
    """The report of what was judged."""
    bad = bad_of(suites)
    row = gathered.row.model_copy(update={"verdict": verdict_of(suites), "failed": tuple(one.name for one in bad)})
    return AuditReport(
        run_id=run_id,
        period=row,
        suites=suites,
        drift=tuple(gathered.drift),
        unreadable=gathered.found.unreadable,
        lost=gathered.found.lost,
        notes=gathered.notes,
        dry_run=dry_run,
    )


def told_hash(report: AuditReport) -> str:
    """What operators are told of a period, as a hash; empty when there is nothing to tell.

    Only which expectations failed: an audit of the same period with a job more is no news.
    """
    failed = sorted(report.period.failed)
    return hashlib.sha256("\n".join(failed).encode()).hexdigest()[:16] if failed else ""


def was_told(files: Files, report: AuditReport) -> bool:
    """Whether operators were told the same of the period by an earlier audit."""
    earlier = read_period(files, report.period.name)
    return earlier is not None and earlier.told == told_hash(report)
