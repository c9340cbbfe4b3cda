"""Where a job goes: to the GPU with the fewest jobs waiting, else to the CPU pool."""

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
from prefect.client.schemas.objects import StateType

from blocks.errors import EngineUnavailable

LIST_S = 10.0
COUNT_S = 1.0


@dataclass
class Destination:
    """A deployment that can do a job.

    Attributes:
        deployment: `flow/deployment`.
        pool: Its work pool, None when it has none.
        waiting: Runs that wait in the pool by the latest count, and those sent since.
    """

    deployment: str
    pool: str | None
    waiting: int = 0

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
            counts = await asyncio.gather(*(_waiting(client, one) for one in known.destinations))
            for one, count in zip(known.destinations, counts, strict=True):
                one.waiting = count
            known.counted_at = time.monotonic()
    if not known.destinations:
        raise EngineUnavailable(f"nothing is deployed that can do {flow}", fix="run `c500 up`", retry_after_s=LIST_S)
    chosen = min(known.destinations, key=lambda one: one.waiting)
    chosen.waiting += 1
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


async def _waiting(client: PrefectClient, one: Destination) -> int:
    waiting = FlowRunFilter(
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED, StateType.PENDING]))
    )
    pool = WorkPoolFilter(name=WorkPoolFilterName(any_=[one.pool or ""]))
    return await client.count_flow_runs(flow_run_filter=waiting, work_pool_filter=pool)
