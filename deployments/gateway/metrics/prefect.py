"""What Prefect says of itself, its workers and the jobs that wait; and which runs end, how and after how long."""

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterEndTime,
    FlowRunFilterExpectedStartTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prometheus_client.metrics_core import Metric as Family
from pydantic import ValidationError

from blocks.errors import EngineUnavailable
from blocks.runs.lost import JOB_FLOWS
from blocks.runs.queue import all_runs
from blocks.runs.record import CANCELLED, CRASHED, ERROR, INTERNAL_ERROR, RunError, label
from deployments.gateway.load import Load
from deployments.gateway.metrics.families import Counts, Labels, gauge_family

ENDED = (StateType.COMPLETED, StateType.FAILED, StateType.CANCELLED, StateType.CRASHED)
OVERLAP = timedelta(seconds=60)
"""So far back runs are looked for again: their ends are written down late, by clocks of other machines."""

LATE = timedelta(seconds=60)


class PrefectLook:
    """Looks at the queue and the workers.

    Args:
        load: What is known of them.
    """

    def __init__(self, load: Load) -> None:
        self._load = load

    async def read(self) -> Sequence[Family]:
        """What there is now. Raises `EngineUnavailable`."""
        begun = time.monotonic()
        queue, jobs = await self._load.queue(), await self._load.jobs()
        if queue is None or jobs is None:
            raise EngineUnavailable("the Prefect server does not answer", fix="see its log")
        return [
            gauge_family("c500_prefect_answer_seconds", time.monotonic() - begun),
            gauge_family("c500_job_queue_depth", queue.depth),
            gauge_family("c500_job_runs", {(state,): count for state, count in jobs.items()}),
            gauge_family("c500_worker_online", {(pool,): count for pool, count in queue.pools.items()}),
        ]


class RunLook:
    """Follows the runs of all flows from its first look on.

    Args:
        prefect: The server.
    """

    def __init__(self, prefect: PrefectClient) -> None:
        self._prefect = prefect
        self._counts = Counts(
            ("c500_run_outcomes_total", "c500_run_failures_total", "c500_run_seconds", "c500_run_wait_seconds")
        )
        self._names: dict[UUID, str] = {}
        self._seen = set[tuple[UUID, datetime]]()
        self._until: datetime | None = None
        for flow in JOB_FLOWS:
            for state in ENDED:
                self._counts.count("c500_run_outcomes_total", flow, state.value.lower(), by=0)

    async def read(self) -> Sequence[Family]:
        """What was counted, and what is at work now."""
        await self._follow(datetime.now(UTC))
        return [*self._counts.families(), *await self._at_work(), *await self._waiting()]

    async def _follow(self, now: datetime) -> None:
        """Count the runs that ended since the last look."""
        since = (self._until or now) - OVERLAP
        wanted = FlowRunFilter(
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=list(ENDED))),
            end_time=FlowRunFilterEndTime.model_validate({"after_": since}),
        )
        # All that is asked for before anything is counted: a server that goes away meanwhile has the look done again.
        found = [(run, await self._flow(run)) async for run in all_runs(self._prefect, wanted)]
        known, is_first = self._seen, self._until is None
        self._seen = {key for run, _ in found if (key := _end_of(run))}
        self._until = now
        for run, flow in found:
            if not is_first and _end_of(run) not in known:
                self._count(run, flow)

    def _count(self, run: FlowRun, flow: str) -> None:
        state = (run.state_type or StateType.FAILED).value.lower()
        self._counts.count("c500_run_outcomes_total", flow, state)
        if run.state_type != StateType.COMPLETED:
            self._counts.count("c500_run_failures_total", flow, _code(run))
        if run.start_time is None:
            return
        self._counts.observe("c500_run_seconds", flow, value=run.total_run_time.total_seconds())
        if run.run_count == 1 and run.expected_start_time is not None:
            waited = (run.start_time - run.expected_start_time).total_seconds()
            self._counts.observe("c500_run_wait_seconds", flow, value=max(0.0, waited))

    async def _at_work(self) -> list[Family]:
        wanted = FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.RUNNING])))
        counts, oldest, now = Counter[Labels](), dict[Labels, float](), datetime.now(UTC)
        async for run in all_runs(self._prefect, wanted):
            flow = (await self._flow(run),)
            counts[flow] += 1
            if run.start_time is not None:
                oldest[flow] = max(oldest.get(flow, 0.0), (now - run.start_time).total_seconds())
        return [gauge_family("c500_run_at_work", counts), gauge_family("c500_run_oldest_seconds", oldest)]

    async def _waiting(self) -> list[Family]:
        before = FlowRunFilterExpectedStartTime.model_validate({"before_": datetime.now(UTC) - LATE})
        late = await self._count_in((StateType.SCHEDULED,), before)
        return [
            gauge_family("c500_run_late", late),
            gauge_family("c500_run_paused", await self._count_in((StateType.PAUSED,), None)),
        ]

    async def _count_in(self, states: Iterable[StateType], start: FlowRunFilterExpectedStartTime | None) -> int:
        wanted = FlowRunFilter(
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=list(states))), expected_start_time=start
        )
        return await self._prefect.count_flow_runs(flow_run_filter=wanted)

    async def _flow(self, run: FlowRun) -> str:
        """Name of a run's flow."""
        if run.flow_id not in self._names:
            self._names[run.flow_id] = (await self._prefect.read_flow(run.flow_id)).name
        return self._names[run.flow_id]


def _end_of(run: FlowRun) -> tuple[UUID, datetime] | None:
    """Tells one end of a run from another: one that crashed is begun again."""
    return None if run.state is None else (run.id, run.state.timestamp)


def _code(run: FlowRun) -> str:
    """Why a run ended otherwise than well."""
    if run.state_type == StateType.CANCELLED:
        return CANCELLED
    if run.state_type == StateType.CRASHED:
        return CRASHED
    with suppress(ValidationError):
        return RunError.model_validate_json(label(run, ERROR) or "").code
    return INTERNAL_ERROR
