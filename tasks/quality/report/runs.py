"""What Prefect knows of a period: runs of jobs that left no result, and how long tasks take."""

from array import array
from collections import Counter
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from blocks.errors import EngineUnavailable
from tasks.quality.report.period import Period, Span
from tasks.quality.report.tally import MOST_NAMES, OTHER, numbers

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.objects import FlowRun

EVENTS_KEPT = timedelta(days=7)
"""Prefect's default of PREFECT_SERVER_EVENTS_RETENTION_PERIOD; older crashes of runs that live are not known."""

CRASHED_EVENT = "prefect.flow-run.Crashed"
MOST_EVENTS = 1000
TASKS_READ = 2000
"""The latest task runs of the period; a day of 10,000 jobs has a hundred thousand, and each page costs its server."""


@dataclass
class RunCounts:
    """Runs of jobs that ended in a period without a result.

    Attributes:
        span: The period.
        slices: In how many parts it is looked at.
        failed: Runs that failed, by slice.
        cancelled: Runs that were cancelled.
        dead: Runs that were given up after crashes; they count as failed, too.
        crashed: Runs whose process died in the period; None where it is too long ago.
        recovered: Those of them that are complete by now.
        codes: Failed runs by code.
    """

    span: Span
    slices: int
    failed: list[int] = field(init=False)
    cancelled: int = 0
    dead: int = 0
    crashed: int | None = None
    recovered: int | None = None
    codes: Counter[str] = field(default_factory=Counter[str])

    def __post_init__(self) -> None:
        self.failed = [0] * self.slices


@dataclass
class Runs:
    """What Prefect says of a period.

    Attributes:
        now, before: Runs of jobs, of the period and of the one before.
        tasks: Seconds of task runs of all flows, by the task's name.
        tasks_read: How many there are of them.
        tasks_cut: Whether there are more.
        notes: What is not known.
    """

    now: RunCounts
    before: RunCounts
    tasks: "dict[str, array[float]]" = field(default_factory=lambda: dict[str, "array[float]"]())
    tasks_read: int = 0
    tasks_cut: bool = False
    notes: tuple[str, ...] = ()


async def read_runs(period: Period, now: datetime | None = None) -> Runs:
    """Ask the Prefect server in use.

    Raises:
        EngineUnavailable: it knows of no run but this one: it was begun for it, and ends with it.
        httpx.HTTPError, PrefectHTTPStatusError: it does not answer, or refuses.
    """
    from prefect.client.orchestration import get_client

    told = Runs(RunCounts(period.now, period.slices), RunCounts(period.before, period.slices))
    known_since = (now or datetime.now(UTC)) - EVENTS_KEPT
    async with get_client() as client:
        if await client.count_flow_runs() <= 1:
            raise EngineUnavailable(
                "no service was found, and a server that was begun for this report knows of no other runs",
                fix="start `c500 up`, or set PREFECT_API_URL to a service elsewhere",
            )
        for counts in (told.now, told.before):
            await _count_ended(client, counts)
            if counts.span.since >= known_since or (counts is told.now and counts.span.until > known_since):
                await _count_crashed(client, counts)
        await _time_tasks(client, told)
    if told.now.crashed is None:
        told.notes = ("Crashes of so long ago are not known: Prefect keeps events for a week.",)
    elif period.since < known_since:
        told.notes = (f"Crashes before {known_since:%Y-%m-%d %H:%M} UTC are not counted: Prefect keeps events a week.",)
    return told


async def _count_ended(client: "PrefectClient", counts: RunCounts) -> None:
    from prefect.client.schemas.objects import StateType

    from blocks.runs.record import CRASHED, job_run

    async for run in _ended_runs(client, counts.span):
        if run.state_type == StateType.CANCELLED:
            counts.cancelled += 1
            continue
        if run.state_type == StateType.FAILED and run.end_time is not None:
            error = job_run(run, [], []).error
            code = error.code if error else CRASHED
            counts.failed[counts.span.slice_of(run.end_time, counts.slices)] += 1
            counts.dead += code == CRASHED
            counts.codes[code if code in counts.codes or len(counts.codes) < MOST_NAMES else OTHER] += 1


async def _ended_runs(client: "PrefectClient", span: Span) -> AsyncGenerator["FlowRun"]:
    """Runs of jobs that ended in a period, but for those that completed: their results are in the store."""
    from prefect.client.schemas.filters import (
        FlowFilter,
        FlowFilterName,
        FlowRunFilter,
        FlowRunFilterEndTime,
        FlowRunFilterState,
        FlowRunFilterStateType,
    )
    from prefect.client.schemas.objects import StateType

    from blocks.runs.queue import all_runs
    from blocks.runs.record import PROCESS_FLOWS

    wanted = FlowRunFilter(
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.FAILED, StateType.CANCELLED])),
        end_time=FlowRunFilterEndTime.model_validate({"after_": span.since, "before_": span.until}),
    )
    async for run in all_runs(client, wanted, FlowFilter(name=FlowFilterName(any_=list(PROCESS_FLOWS)))):
        if run.end_time is not None and run.end_time in span:  # Prefect takes both edges in
            yield run


async def _count_crashed(client: "PrefectClient", counts: RunCounts) -> None:
    """Runs of jobs that crashed, by the events of it: the state of one that was run again says nothing of it."""
    from prefect.client.schemas.objects import StateType

    crashed = await _crashed_runs(client, counts.span)
    states = [run.state_type async for run in _job_runs(client, crashed)]
    counts.crashed, counts.recovered = len(states), sum(one == StateType.COMPLETED for one in states)


async def _crashed_runs(client: "PrefectClient", span: Span) -> list[UUID]:
    from prefect.events.filters import EventFilter, EventNameFilter, EventOccurredFilter

    wanted = EventFilter(
        occurred=EventOccurredFilter.model_validate({"since": span.since, "until": span.until}),
        event=EventNameFilter(name=[CRASHED_EVENT]),
    )
    page = await client.read_events(wanted, limit=50)
    found: dict[UUID, None] = {}
    seen = 0
    while True:
        for event in page.events:
            if event.occurred in span:
                found[UUID(event.resource.id.removeprefix("prefect.flow-run."))] = None
        seen += len(page.events)
        if page.next_page is None or not page.events or seen >= MOST_EVENTS:
            return list(found)
        page = await client.read_events_page(str(page.next_page))


async def _job_runs(client: "PrefectClient", run_ids: list[UUID]) -> AsyncGenerator["FlowRun"]:
    from prefect.client.schemas.filters import FlowFilter, FlowFilterName, FlowRunFilter, FlowRunFilterId

    from blocks.runs.queue import PAGE
    from blocks.runs.record import PROCESS_FLOWS

    jobs = FlowFilter(name=FlowFilterName(any_=list(PROCESS_FLOWS)))
    for first in range(0, len(run_ids), PAGE):
        wanted = FlowRunFilter(id=FlowRunFilterId(any_=run_ids[first : first + PAGE]))
        for run in await client.read_flow_runs(flow_filter=jobs, flow_run_filter=wanted):
            yield run


async def _time_tasks(client: "PrefectClient", told: Runs) -> None:
    from prefect.client.schemas.filters import TaskRunFilter
    from prefect.client.schemas.sorting import TaskRunSort

    from blocks.runs.queue import PAGE

    span = told.now.span
    wanted = TaskRunFilter.model_validate({"end_time": {"after_": span.since, "before_": span.until}})
    for offset in range(0, TASKS_READ, PAGE):
        page = await client.read_task_runs(
            task_run_filter=wanted, sort=TaskRunSort.END_TIME_DESC, limit=PAGE, offset=offset
        )
        for one in page:
            if one.end_time is None or one.start_time is None or one.end_time not in span:
                continue
            name = one.name.rpartition("-")[0] or one.name
            known = name if name in told.tasks or len(told.tasks) < MOST_NAMES else OTHER
            told.tasks.setdefault(known, numbers()).append((one.end_time - one.start_time).total_seconds())
            told.tasks_read += 1
        if len(page) < PAGE:
            return
    told.tasks_cut = True
