"""The report of a day or a week: what an operator should know at a glance."""

from datetime import UTC, datetime
from typing import Any

from prefect import flow
from prefect.runtime import flow_run

from blocks.progress import in_thread
from blocks.redact import default_redactor
from blocks.settings import settings
from blocks.store import Files, open_store
from flows.names import plain
from flows.operating import operating, post, show_markdown
from tasks.ops.options import DEFAULTS, OperationsOptions
from tasks.ops.worded import Worded, worded
from tasks.quality.report.listing import KEPT, publish_listing
from tasks.quality.report.markdown import headline, message, report_markdown
from tasks.quality.report.page import report_page
from tasks.quality.report.period import Kind, asked_period
from tasks.quality.report.report import OperationsReport

TASK = (
    "You tell an operator in two to five plain sentences what this report of a period means: what changed by more than "
    "chance (in bold), what needs a person first, what can wait. Name nothing that the report does not name, and no "
    "number that it does not give."
)


def run_name() -> str:
    """The period."""
    given: dict[str, Any] = flow_run.parameters
    asked = given.get("since") or given.get("when") or "latest"
    return plain(f"{given.get('kind') or 'day'} {asked}")


@flow(name="report-operations", flow_run_name=run_name, persist_result=False)
async def report_operations(
    kind: Kind = "day",
    when: str = "",
    *,
    since: str = "",
    until: str = "",
    zone: str = "",
    send: bool = False,
    options: OperationsOptions = DEFAULTS,
) -> OperationsReport:
    """Report what happened in a period, how well, at what cost, and what needs a person now.

    Nothing is changed but what the store keeps: the report as Markdown, as a page and as data. A source that cannot be
    read is named in the report, and costs no other part of it.

    Args:
        kind: `day`, `week` (ISO) or `span`.
        when: A date as `2026-11-22`, a week as `2026-W47`; empty: the latest that was over when the run was due,
            `this`: the present one.
        since: Of a span, its begin, a date or a moment.
        until: Of a span, its end, which is no part of it; empty: now.
        zone: Time zone of the days; empty for REPORT_TIMEZONE, then TZ, then the machine's.
        send: Whether the operators' channels get a short form of it.
        options: How it is run; a dry run keeps and sends nothing.

    Returns:
        The report; it lies in the store under `reports/`.

    Raises:
        BadInput, NotFound: the period, the time zone or the policy is wrong.
        StoreFailed: the report cannot be kept.
        Stopped: a switch stopped it.
    """
    from flows.reporting.sources import parts_of

    now, files = datetime.now(UTC), open_store()
    chosen = zone or settings().report_timezone
    # A run that waited for a service that was down reports the day that it was to.
    due = now if when or kind == "span" else flow_run.scheduled_start_time
    period = asked_period(kind, when, since=since, until=until, zone=chosen, now=due)
    async with operating("report-operations", options, f"{period.kind} {period.name}") as performer:
        parts = await parts_of(files, period, now)
        found = OperationsReport(run_id=performer.run_id, period=period, made_at=now, parts=parts)
        report = OperationsReport.model_validate(default_redactor().value(found.model_dump(mode="json")))
        if not report.is_empty:
            said = await worded(performer, Worded(), report_markdown(report), TASK)
            report = report.model_copy(update={"summary": said.summary, "written_by": said.written_by})
        if performer.dry_run:
            return report
        report = await in_thread(keep, files, report)
        await show_markdown(f"report-{period.kind}", report_markdown(report), headline(report))
        if send:
            posted = await post(*message(report))
            report = report.model_copy(update={"posted": posted.told, "is_sent": posted.taken > 0})
        return report


def keep(files: Files, report: OperationsReport) -> OperationsReport:
    """Put a report into the store in all its forms, in place of an earlier one of the period. Raises `StoreFailed`."""
    folder = f"{KEPT}/{report.period.kind}/{report.period.name}"
    kept = report.model_copy(update={"place": files.uri(folder)})
    forms = {
        "report.html": (report_page(kept), "text/html; charset=utf-8"),
        "report.md": (report_markdown(kept), "text/markdown; charset=utf-8"),
        "report.json": (kept.model_dump_json(indent=1), "application/json"),
    }
    for name, (text, media_type) in forms.items():
        # Names of files and lines of logs may hold halves of characters, which UTF-8 has no bytes for.
        files.put_bytes(f"{folder}/{name}", text.encode("utf-8", "replace"), media_type)
    publish_listing(files)
    return kept
