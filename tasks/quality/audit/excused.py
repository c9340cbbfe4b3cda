"""Jobs without a result of which Prefect's server knows why."""

from datetime import timedelta

import httpx
import structlog
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterStartTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import StateType
from prefect.exceptions import PrefectHTTPStatusError

from blocks.runs.queue import all_runs
from blocks.runs.record import JOB_ID, PROCESS_FLOWS, label
from tasks.quality.audit.period import Period

EXCUSED = tuple(state for state in StateType if state != StateType.COMPLETED)
"""It failed, is at work, or will be run again."""

MARGIN = timedelta(days=1)

log = structlog.stdlib.get_logger("c500")


async def jobs_excused(period: Period) -> frozenset[str] | None:
    """Ids of jobs of which a run has not completed; None when the server does not know the runs of the period.

    A server that was started for this command alone, or that keeps runs for a shorter time, knows none of them.
    """
    flows = FlowFilter(name=FlowFilterName(any_=list(PROCESS_FLOWS)))
    begun = FlowRunFilterStartTime.model_validate({"after_": period.since - MARGIN, "before_": period.until + MARGIN})
    not_done = FlowRunFilterState(type=FlowRunFilterStateType(any_=list(EXCUSED)))
    try:
        async with get_client() as client:
            if not await _any(client, flows, FlowRunFilter(start_time=begun)):
                return None
            found = [label(run, JOB_ID) async for run in all_runs(client, FlowRunFilter(state=not_done), flows)]
    except (httpx.HTTPError, PrefectHTTPStatusError) as error:
        log.warning("audit_without_runs", error=str(error))
        return None
    return frozenset(job_id for job_id in found if job_id)


async def _any(client: PrefectClient, flows: FlowFilter, wanted: FlowRunFilter) -> bool:
    return bool(await client.read_flow_runs(flow_filter=flows, flow_run_filter=wanted, limit=1))
