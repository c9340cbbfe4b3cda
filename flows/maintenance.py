"""Routine work on hosts, from a plan."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from prefect import flow
from prefect.runtime import flow_run

from blocks.errors import NotFound
from blocks.hosts import read_inventory
from flows.names import plain
from flows.operating import keep_report, operating, post, report_key, show_markdown
from tasks.ops.maintenance.plan import AnyTask, MaintenancePlan, read_plan
from tasks.ops.maintenance.result import MaintenanceReport, headline, summary_text
from tasks.ops.options import DEFAULTS, OperationsOptions
from tasks.ops.worded import worded

KEPT = "operations/maintenance"


def run_name() -> str:
    """The plan's file."""
    return plain(Path(str(flow_run.parameters.get("plan", "maintenance"))).name)


@flow(name="maintain", flow_run_name=run_name, persist_result=False)
async def maintain(
    plan: str,
    options: OperationsOptions = DEFAULTS,
    only: Sequence[str] = (),
    ignore_windows: bool = False,
) -> MaintenanceReport:
    """Do the tasks of a plan on the hosts of the inventory, and tell what came of it.

    Args:
        plan: The file; docs/operations/maintenance.md shows its form.
        options: Dry run, profile, who for; `run_id` goes on with a run that died.
        only: Names of tasks; empty for all.
        ignore_windows: Whether tasks begin outside of their windows, too.

    Returns:
        What came of each task on each host; it lies in the store as well. A task that failed fails no other flow.

    Raises:
        BadInput, NotFound: the plan, the inventory or the policy is wrong; then nothing was done.
        Stopped: a switch stopped it; the same `run_id` goes on.
    """
    from tasks.ops.maintenance.carry_out import CarryingOut

    read, inventory = read_plan(Path(plan)), read_inventory()
    tasks, started_at = _chosen(read, only), datetime.now(UTC)
    async with operating("maintain", options, str(Path(plan).absolute()), same_subject=True) as performer:
        under_way = CarryingOut(performer, read, inventory, ignore_windows=ignore_windows)
        report = MaintenanceReport(
            results=await under_way.carry_out(tasks),
            run_id=performer.run_id,
            plan=plan,
            dry_run=performer.dry_run,
            started_at=started_at,
            ended_at=datetime.now(UTC),
        )
        if any(not one.is_well or one.status == "attention" for one in report.results):
            report = await worded(performer, report, summary_text(report))
        await tell(report)
        return report


async def tell(report: MaintenanceReport) -> None:
    """Keep the report, show it in the Prefect UI, and send it to the operators."""
    text = summary_text(report)
    await keep_report(report_key(KEPT, report.run_id, dry_run=report.dry_run), report)
    await show_markdown(f"maintenance-{report.run_id}", text, report.plan)
    await post(headline(report), text)


def _chosen(read: MaintenancePlan, only: Sequence[str]) -> list[AnyTask]:
    names = [task.name for task in read.tasks]
    if unknown := [name for name in only if name not in names]:
        known = ", ".join(names)
        raise NotFound(f"the plan has no task {', '.join(unknown)}", fix=f"use one of {known}", field="only")
    return [task for task in read.tasks if not only or task.name in only]
