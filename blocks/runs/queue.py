"""How many jobs wait, and how fast they go."""

from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import (
    FlowFilter,
    FlowRunFilter,
    FlowRunFilterEndTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
    FlowRunFilterTags,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.sorting import FlowRunSort

from blocks.runs.record import JOB_TAG, OWNER, WAITING, label

PAGE = 200
"""Most objects Prefect's API returns at once."""

FAIR_QUEUES = {f"fair-{level}": level + 1 for level in range(5)}
"""Work queues of every job pool, by priority: a worker empties a lower one first. The first waiting job of a key goes
into the first, the next two into the second, the next four into the third, and so on; so a key with many jobs waits
behind one with few."""

OVERLAP = 50
"""Pages overlap, so that runs which leave the list while it is read hide no others."""

RECENT = timedelta(minutes=15)
RECENT_RUNS = 50


async def waiting_by_owner(client: PrefectClient) -> dict[str, int]:
    """How many runs wait, by the key that submitted them."""
    waiting: dict[str, int] = {}
    async for run in job_runs(client, WAITING):
        owner = label(run, OWNER) or ""
        waiting[owner] = waiting.get(owner, 0) + 1
    return waiting


async def service_rate(client: PrefectClient) -> float | None:
    """Jobs finished per second of late; None when fewer than two finished in the last quarter of an hour."""
    wanted = _jobs_in((StateType.COMPLETED, StateType.FAILED), datetime.now(UTC) - RECENT)
    runs = await client.read_flow_runs(flow_run_filter=wanted, sort=FlowRunSort.END_TIME_DESC, limit=RECENT_RUNS)
    ends = sorted(run.end_time for run in runs if run.end_time is not None)
    if len(ends) < 2:
        return None
    return (len(ends) - 1) / max((ends[-1] - ends[0]).total_seconds(), 0.001)


async def job_runs(
    client: PrefectClient, states: tuple[StateType, ...], ended_after: datetime | None = None
) -> AsyncGenerator[FlowRun]:
    """All job runs in one of the states, each once; or only those that ended after a time."""
    async for run in all_runs(client, _jobs_in(states, ended_after)):
        yield run


async def all_runs(
    client: PrefectClient, wanted: FlowRunFilter, flows: FlowFilter | None = None
) -> AsyncGenerator[FlowRun]:
    """All runs that a filter finds, each once, in the order of their ids, page by page."""
    seen: set[object] = set()
    offset = 0
    while True:
        runs = await client.read_flow_runs(
            flow_filter=flows, flow_run_filter=wanted, sort=FlowRunSort.ID_DESC, limit=PAGE, offset=offset
        )
        for run in runs:
            if run.id not in seen:
                yield run
        seen.update(run.id for run in runs)
        if len(runs) < PAGE:
            return
        offset += PAGE - OVERLAP


def _jobs_in(states: tuple[StateType, ...], ended_after: datetime | None = None) -> FlowRunFilter:
    return FlowRunFilter(
        tags=FlowRunFilterTags(all_=[JOB_TAG]),
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=list(states))),
        end_time=FlowRunFilterEndTime.model_validate({"after_": ended_after}) if ended_after else None,
    )
