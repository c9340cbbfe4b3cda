"""Sources of a report: each is read on its own, and one that cannot be read is told instead of ending the report."""

from collections.abc import Awaitable
from datetime import datetime, timedelta
from typing import TypeVar

import structlog

from blocks.errors import C500Error, Stopped
from blocks.progress import in_thread
from blocks.store.files import Files
from flows.reporting.agents import read_agents
from flows.reporting.batches import read_batches
from flows.reporting.costs import read_budgets, read_costs
from flows.reporting.operations import read_incidents, read_operations
from flows.reporting.people import read_wanted
from tasks.quality.report.happened import agents_part, batches_part, incidents_part, operations_part
from tasks.quality.report.jobs import jobs_part
from tasks.quality.report.people import people_part
from tasks.quality.report.period import Period
from tasks.quality.report.quality import audits_part, quality_part
from tasks.quality.report.report import Gap, Part, gap_of
from tasks.quality.report.runs import read_runs
from tasks.quality.report.steps import steps_part
from tasks.quality.report.tally import tallied

R = TypeVar("R")

EARLIER = timedelta(hours=1)
"""A record is written the moment it says; the clocks of the store and of the machine may differ by this."""

log = structlog.stdlib.get_logger("c500")


async def parts_of(files: Files, period: Period, now: datetime) -> tuple[Part, ...]:
    """All parts of a report; what needs a person comes first.

    Raises:
        Stopped: a switch stopped the run.
    """
    since = period.before_since - EARLIER
    results = await told("results of jobs", in_thread(tallied, files, period))
    runs = await told("Prefect", read_runs(period, now))
    audits = await told("audits", in_thread(audits_part, files, period))
    incidents = await told("incidents", in_thread(read_incidents, files))
    operations = await told("runs of operations", in_thread(read_operations, files))
    agents = await told("runs of agents", in_thread(read_agents, files, period, since))
    batches = await told("reports of batches", in_thread(read_batches, files, since))
    wanted, gaps = await read_wanted(told, files, period, incidents, runs, now)
    return (
        people_part(wanted, gaps, period.zone),
        jobs_part(results, runs, period),
        quality_part(results, audits),
        await _costs(period),
        incidents_part(incidents, period),
        operations_part(operations, period),
        agents_part(agents, period),
        batches_part(batches, period),
        steps_part(results, runs),
    )


async def told(source: str, reading: Awaitable[R]) -> R | Gap:
    """What a source says, or that it cannot be read. Raises `Stopped`."""
    try:
        return await reading
    except Stopped:
        raise
    except Exception as error:
        known = isinstance(error, C500Error)
        log.warning("report_source_unread", source=source, error=str(error), exc_info=None if known else error)
        return gap_of(source, error)


async def _costs(period: Period) -> Part:
    """Cost with budgets; either may be missing."""
    costs = await told("the usage ledger", in_thread(read_costs, period))
    budgets = await told("budgets", in_thread(read_budgets, period))
    known = [one for one in (costs, budgets) if isinstance(one, Part)]
    return Part(
        name="costs",
        title="Cost",
        figures=tuple(figure for one in known for figure in one.figures),
        tables=tuple(table for one in known for table in one.tables),
        charts=tuple(chart for one in known for chart in one.charts),
        notes=tuple(note for one in known for note in one.notes),
        gaps=tuple(one for one in (costs, budgets) if isinstance(one, Gap)),
    )
