"""Capacity: when resources run out, and what to do about it."""

from base64 import b64encode
from datetime import UTC, datetime
from pathlib import Path

from prefect import flow
from prefect.artifacts import acreate_image_artifact

from blocks.progress import only_informing
from blocks.store import Files, open_store
from flows.operating import keep_report, operating, post, show_markdown
from tasks.ops.capacity.plan import read_plan
from tasks.ops.capacity.report import CapacityReport, headline, report_markdown
from tasks.ops.options import DEFAULTS, OperationsOptions
from tasks.ops.worded import worded

KEPT = "operations/capacity"
MOST_PICTURES = 20
"""In the Prefect UI; the store has all."""


@flow(name="plan-capacity", persist_result=False)
async def plan_capacity(plan: str, options: OperationsOptions = DEFAULTS) -> CapacityReport:
    """Foretell by their history when resources run out, and recommend what to do, by rules.

    The models that would have foretold a history's own past best are used, and told. Too little history is told, too.

    Args:
        plan: The file; docs/operations/capacity.md shows its form.
        options: Who for. Nothing is changed but what the store keeps; a dry run posts no message.

    Returns:
        The outlook of each resource, with days until it runs out, interval and chart; it lies in the store as well.

    Raises:
        BadInput, NotFound: the plan or the policy is wrong.
        Conflict: `run_id` is that of a run about another plan.
        StoreFailed: the report cannot be kept.
    """
    from tasks.ops.capacity.look_ahead import look_ahead

    read, files = read_plan(Path(plan)), open_store()
    subject = str(Path(plan).expanduser().absolute())
    async with operating("plan-capacity", options, subject, same_subject=True) as performer:
        outlooks = await look_ahead(read, files, performer.run_id, datetime.now(UTC))
        report = CapacityReport(run_id=performer.run_id, plan=plan, outlooks=outlooks)
        if not report.ok:
            report = await worded(performer, report, report_markdown(report))
        text = report_markdown(report)
        await keep_report(f"{KEPT}/{report.run_id}/report.json", report)
        await show_markdown(f"capacity-{report.run_id}", text, headline(report))
        await _show_charts(report, files)
        if not report.ok and not performer.dry_run:
            await post(headline(report), text)
        return report


async def _show_charts(report: CapacityReport, files: Files) -> None:
    charts = [one.chart for one in report.outlooks if one.chart]
    for number, key in enumerate(charts[:MOST_PICTURES]):
        picture = b64encode(files.read_bytes(key)).decode()
        async with only_informing("chart"):
            await acreate_image_artifact(
                key=f"capacity-{report.run_id}-{number}",
                image_url=f"data:image/png;base64,{picture}",
                description=files.uri(key),
            )
