"""Audits of what finished jobs made: suites of expectations over a period, with Data Docs."""

from datetime import timedelta
from typing import TYPE_CHECKING

from prefect import flow
from prefect.runtime import flow_run

from blocks.progress import OnProgress, in_thread, progress
from blocks.settings import settings
from blocks.store import open_store
from flows.names import plain
from flows.operating import operating, post, show_markdown
from tasks.ops.options import DEFAULTS, OperationsOptions
from tasks.quality.audit.judged import AuditReport
from tasks.quality.audit.period import Period, Span, latest

if TYPE_CHECKING:
    from blocks.settings import Settings
    from tasks.quality.audit.audit import Gathered
    from tasks.quality.audit.job_row import Known

LONGEST_S = 4 * 3600
"""Seconds after which an audit ends; the next one begins anew."""

FULL_AT = 10_000
"""Jobs at which the progress shown is at a half; how many there are is not known before they are read."""


def run_name() -> str:
    """The period's name."""
    given = flow_run.parameters.get("period")
    if given:
        period = Period.model_validate(given, from_attributes=True)
        return plain(period.name)
    return plain(latest(flow_run.parameters.get("span") or "day", flow_run.scheduled_start_time).name)


@flow(name="audit-quality", flow_run_name=run_name, persist_result=False, timeout_seconds=LONGEST_S)
async def audit_quality(
    period: Period | None = None, span: Span = "day", options: OperationsOptions = DEFAULTS
) -> AuditReport:
    """Hold the results of a period against suites of expectations, and tell what is not met.

    The same period again gives the same history and the same pages, and tells nobody the same twice. An audit that was
    killed leaves the site as it was, or with whole pages more.

    Args:
        period: Which; None for the latest day, week or month that was over when the run was due: one that waited for
            a service that was down audits the day that it was to.
        span: Which of these.
        options: How it is run; a dry run keeps nothing and tells nobody.

    Returns:
        What was judged; the page lies in the store under `quality/docs/`, the report under `quality/audits/`.

    Raises:
        BadInput: a suite of QUALITY_SUITES_DIR is wrong; the message has file and line.
        Unsupported: great-expectations is not installed.
        StoreFailed: the store cannot be read or written.
        Stopped: a switch stops it.
    """
    from tasks.quality.audit.audit import judged, report_of
    from tasks.quality.audit.keep import keep
    from tasks.quality.audit.suite_files import read_suites
    from tasks.quality.audit.tell import markdown

    period, chosen = period or latest(span, flow_run.scheduled_start_time), settings()
    async with operating("audit-quality", options, period.name) as performer, progress("audit-quality") as on_share:
        read_suites(chosen.quality_suites_dir)  # what is wrong with one should not wait for the store
        gathered = await gather_step(period, chosen, on_share)
        suites = await in_thread(judged, gathered, chosen.quality_suites_dir)
        report = report_of(gathered, suites, performer.run_id, dry_run=performer.dry_run)
        if not performer.dry_run:
            report = await keep(open_store(), period, gathered, report, post)
        await show_markdown(f"quality-{performer.run_id}", markdown(report), report.summary)
        return report


async def gather_step(period: Period, chosen: "Settings", on_share: OnProgress) -> "Gathered":
    """Read the period, and what is known of its jobs elsewhere."""
    from tasks.quality.audit.audit import gather
    from tasks.quality.audit.costs import read_booked
    from tasks.quality.audit.excused import jobs_excused

    def told(jobs: int) -> None:
        on_share(jobs / (jobs + FULL_AT))

    excused = await jobs_excused(period)
    booked = await in_thread(read_booked, chosen.books_url, period)
    known = await in_thread(what_is_known, chosen)
    return await in_thread(
        gather,
        open_store(),
        period,
        known,
        excused=excused,
        booked=booked,
        told=told,
    )


def what_is_known(chosen: "Settings") -> "Known":
    """Templates and prices as they are now."""
    from tasks.llm.template import list_templates
    from tasks.quality.audit.costs import dearest_usd
    from tasks.quality.audit.job_row import Known

    schemas = {template.name: template.schema_ for template in list_templates()}
    days = chosen.results_days
    return Known(
        schemas=schemas,
        dearest_usd=dearest_usd(chosen.accounts_file),
        results_kept=None if days is None else timedelta(days=days),
    )
