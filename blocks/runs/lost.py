"""Which job runs nobody works on any more, although they are not finished."""

import asyncio
from datetime import UTC, datetime, timedelta

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import (
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterDeploymentId,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.events.filters import EventFilter, EventNameFilter, EventOccurredFilter, EventResourceFilter

from blocks.runs.queue import all_runs
from blocks.runs.record import JOB_TAG, PROCESS_FLOWS
from blocks.settings import HEARTBEAT_S, settings

JOB_FLOWS = (
    *(*PROCESS_FLOWS, "dispatch-request", "swarm", "run-agent", "run-team"),
    *("clean-all", "clean-logs", "clean-audio", "clean-cache", "clean-evidence", "watch-disk", "heal-disk"),
    *("maintain", "migrate", "audit-quality", "report-operations", "evaluate", "export-data", "erase-data"),
    *("run-runbook", "respond-to-incident", "write-postmortem", "deploy-service", "watch-rollout", "analyse-logs"),
    *("detect-drift", "undo-drift", "plan-capacity", "triage-ci", "review-change", "fix-tests"),
    *("batch-prompts", "fast-response", "agent-task", "download-workspace", "combined", "agent-fleet"),
)
"""Flows whose deployed runs are jobs, whoever started them."""

HEARTBEAT = "prefect.flow-run.heartbeat"

SILENCES = 12.0
"""Heartbeats missed after which a run counts as dead. The automation on the server comes first, after 11; this is for
runs it does not know: those whose first heartbeat was lost with the server."""

ASKED_AT_ONCE = 8
"""Runs whose heartbeats are looked up side by side."""


async def lost_runs(client: PrefectClient) -> list[FlowRun]:
    """Deployed job runs that crashed, were not started or went silent, all of them."""
    few = asyncio.Semaphore(ASKED_AT_ONCE)

    async def lost(run: FlowRun) -> bool:
        async with few:
            return is_lost(run, await last_heartbeat(client, run))

    flows = FlowFilter(name=FlowFilterName(any_=list(JOB_FLOWS)))
    runs = [run async for run in all_runs(client, _perhaps_lost(), flows)]
    found = await asyncio.gather(*(lost(run) for run in runs))
    return [run for run, is_it in zip(runs, found, strict=True) if is_it]


def _perhaps_lost() -> FlowRunFilter:
    return FlowRunFilter(
        deployment_id=FlowRunFilterDeploymentId(is_null_=False),
        state=FlowRunFilterState(
            type=FlowRunFilterStateType(any_=[StateType.CRASHED, StateType.PENDING, StateType.RUNNING])
        ),
    )


async def is_job(client: PrefectClient, run: FlowRun) -> bool:
    """Whether it is a deployed run of a job: submitted through the gateway, or of one of the job flows."""
    if run.deployment_id is None:
        return False
    return JOB_TAG in run.tags or (await client.read_flow(run.flow_id)).name in JOB_FLOWS


async def last_heartbeat(client: PrefectClient, run: FlowRun) -> datetime | None:
    """When a run that has been running for a while was last heard of; None for all other runs."""
    began = run.state and run.state.timestamp
    longest = _longest_silence()
    if run.state_type != StateType.RUNNING or began is None or datetime.now(UTC) - began < longest:
        return None
    wanted = EventFilter(
        occurred=EventOccurredFilter.model_validate({"since": datetime.now(UTC) - longest}),
        event=EventNameFilter(name=[HEARTBEAT]),
        resource=EventResourceFilter(id=[f"prefect.flow-run.{run.id}"]),
    )
    events = (await client.read_events(wanted, limit=1)).events
    return events[0].occurred if events else None


def is_lost(run: FlowRun, heard: datetime | None) -> bool:
    """Whether nobody works on the run any more.

    Args:
        run: As it is now.
        heard: Its last heartbeat of late, if any.
    """
    if run.state is None:
        return False
    age = datetime.now(UTC) - max(run.state.timestamp, heard or run.state.timestamp)
    if run.state_type == StateType.PENDING:
        return age > timedelta(seconds=settings().pending_timeout_s)
    if run.state_type == StateType.RUNNING:
        return age > _longest_silence()
    return run.state_type == StateType.CRASHED


def _longest_silence() -> timedelta:
    return timedelta(seconds=SILENCES * HEARTBEAT_S)
