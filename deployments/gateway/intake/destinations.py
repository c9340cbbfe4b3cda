"""Where a job goes: to the GPU that has the fewest jobs and somebody to do them, else to the CPU pool."""

import asyncio
import time
from dataclasses import dataclass, field

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterName,
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
    WorkPoolFilter,
    WorkPoolFilterName,
)
from prefect.client.schemas.objects import WorkerStatus

from blocks.errors import EngineUnavailable
from blocks.runs.record import IN_HAND, WAITING

LIST_S = 10.0
COUNT_S = 1.0


@dataclass
class Destination:
    """A deployment that can do a job.

    Attributes:
        deployment: `flow/deployment`.
        pool: Its work pool, None when it has none.
        jobs: Runs that wait in the pool or run there by the latest count, and those sent since.
        served: Whether a worker of the pool is online, by the latest count.
    """

    deployment: str
    pool: str | None
    jobs: int = 0
    served: bool = True

    @property
    def queued(self) -> bool:
        """Whether it has work queues to choose from."""
        return self.pool is not None


@dataclass
class _Known:
    destinations: list[Destination] = field(default_factory=list[Destination])
    listed_at: float = float("-inf")
    counted_at: float = float("-inf")
    asking: asyncio.Lock = field(default_factory=asyncio.Lock)


_known: dict[tuple[str, str], _Known] = {}


async def destination(client: PrefectClient, flow: str) -> Destination:
    """The deployment of a flow that should take the next job.

    Raises:
        EngineUnavailable: the flow has no deployment.
    """
    known = _known.setdefault((str(client.api_url), flow), _Known())
    async with known.asking:
        if time.monotonic() - known.listed_at > LIST_S:
            known.destinations, known.listed_at = await _list(client, flow), time.monotonic()
        if len(known.destinations) > 1 and time.monotonic() - known.counted_at > COUNT_S:
            await asyncio.gather(*(_count(client, one) for one in known.destinations))
            known.counted_at = time.monotonic()
    if not known.destinations:
        raise EngineUnavailable(f"nothing is deployed that can do {flow}", fix="run `c500 up`", retry_after_s=LIST_S)
    chosen = min(known.destinations, key=lambda one: (not one.served, one.jobs))
    chosen.jobs += 1
    return chosen


async def _list(client: PrefectClient, flow: str) -> list[Destination]:
    """The flow's deployments on GPUs if there are any, else that on the CPU."""
    found = await client.read_deployments(
        flow_filter=FlowFilter(name=FlowFilterName(any_=[flow])),
        deployment_filter=DeploymentFilter(name=DeploymentFilterName(like_=flow)),
    )
    pools = {one.name: one.work_pool_name for one in found if not one.paused}
    on_gpus = [name for name in pools if name.startswith(f"{flow}-gpu-")]
    names = on_gpus or [name for name in pools if name == flow]
    return [Destination(f"{flow}/{name}", pools[name]) for name in sorted(names)]


async def _count(client: PrefectClient, one: Destination) -> None:
    if one.pool is None:
        return
    unfinished = FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[*WAITING, *IN_HAND])))
    pool = WorkPoolFilter(name=WorkPoolFilterName(any_=[one.pool]))
    one.jobs, workers = await asyncio.gather(
        client.count_flow_runs(flow_run_filter=unfinished, work_pool_filter=pool),
        client.read_workers_for_work_pool(one.pool),
    )
    one.served = any(worker.status == WorkerStatus.ONLINE for worker in workers)
