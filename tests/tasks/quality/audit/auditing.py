"""Audits of days of stored jobs, without a server."""

from datetime import datetime, timedelta
from functools import cache
from pathlib import Path

from blocks.store.files import Files
from tasks.llm.template import list_templates
from tasks.quality.audit.audit import Gathered, gather, judged, report_of
from tasks.quality.audit.costs import Booked
from tasks.quality.audit.history import keep_jobs
from tasks.quality.audit.job_row import Known
from tasks.quality.audit.judged import AuditReport
from tasks.quality.audit.period import Period, named
from tests.fakes.stored_jobs import DAY, PRICE_USD

NOW = DAY + timedelta(days=60)
NOTHING = Booked()


@cache
def known() -> Known:
    """The templates of C500, and the price that the stored jobs paid."""
    return Known(schemas={one.name: one.schema_ for one in list_templates()}, dearest_usd={"small": PRICE_USD})


def day_of(moment: datetime) -> Period:
    return named("day", moment.date().isoformat())


def gathered(
    files: Files, day: datetime = DAY, excused: frozenset[str] | None = frozenset(), booked: Booked = NOTHING
) -> Gathered:
    """A day, read, and its jobs put into the history."""
    found = gather(files, day_of(day), known(), excused=excused, booked=booked, now=NOW)
    keep_jobs(files, day_of(day), found.found.jobs)
    return found


def audited(files: Files, day: datetime = DAY, suites: Path | None = None, booked: Booked = NOTHING) -> AuditReport:
    """The audit of a day."""
    found = gathered(files, day, booked=booked)
    return report_of(found, judged(found, suites), "a-run", dry_run=False)


def failed(report: AuditReport) -> set[str]:
    """Expectations that people are told of."""
    return {one.name for one in report.bad}
