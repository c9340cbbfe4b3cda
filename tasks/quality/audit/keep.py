"""An audit kept and told: history, messages, pages, in the order that a process may die in."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from blocks.errors import NotFound, Unsupported
from blocks.progress import in_thread
from blocks.store.files import Files
from tasks.quality.audit.audit import Gathered, told_hash, was_told
from tasks.quality.audit.docs import page_key, publish
from tasks.quality.audit.history import keep_jobs, keep_period, read_periods
from tasks.quality.audit.judged import AuditReport
from tasks.quality.audit.period import Period
from tasks.quality.audit.tell import emit_failures, message_of

if TYPE_CHECKING:
    from blocks.escalation.channels import Posted

AUDITS = "quality/audits"
LOCK = "quality/docs"
"""The first page names all periods: two audits at once must not each leave the other's out."""

Post = Callable[[str, str], Awaitable["Posted"]]


async def keep(files: Files, period: Period, gathered: Gathered, report: AuditReport, post: Post) -> AuditReport:
    """Keep figures, report and pages of an audit, and tell operators what they were not told of it before.

    Figures come first, and the first page last. A process that dies after the message and before the period's row has
    it sent twice; it is never lost: one that no channel took is sent by the next audit of the period.

    Args:
        files: The store.
        period: What was audited.
        gathered: What it was judged by.
        report: What came of it.
        post: Sends a message.
    """
    report = report.model_copy(update={"page": files.uri(page_key(report.period.name))})
    await in_thread(keep_jobs, files, period, gathered.found.jobs)
    told = told_hash(report)
    if report.bad and not await in_thread(was_told, files, report):
        emit_failures(report)
        posted = await post(*message_of(report))
        report = report.model_copy(update={"posted": posted.told})
        told = told if posted.taken else ""
    row = report.period.model_copy(update={"told": told})
    report = report.model_copy(update={"period": row})
    await in_thread(_write, files, report)
    return report


def _write(files: Files, report: AuditReport) -> None:
    content = report.model_dump_json(indent=1).encode("utf-8", "surrogatepass")
    with files.lock(LOCK):
        files.put_bytes(report_key(report.period.name), content, "application/json")
        keep_period(files, report.period)
        publish(files, report, read_periods(files))


def report_key(name: str) -> str:
    """Where the report of a period lies."""
    return f"{AUDITS}/{name}/report.json"


def read_report(files: Files, name: str) -> AuditReport:
    """The report of the latest audit of a period.

    Raises:
        NotFound: it was not audited.
        Unsupported: another version of C500 wrote it.
    """
    from pydantic import ValidationError

    try:
        return AuditReport.model_validate_json(files.read_bytes(report_key(name)))
    except NotFound:
        raise NotFound(
            f"the period {name!r:.60} was not audited",
            fix="audit it with `c500 quality audit`, or see `c500 quality show` for all periods",
            field="period",
        ) from None
    except ValidationError as error:
        raise Unsupported(
            f"the report of {name} was written by another version of C500", fix="audit the period again"
        ) from error
