"""How busy the service is, by Prefect's own count; asked at most once a second, however many want to know."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

import httpx
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
    FlowRunFilterTags,
)
from prefect.client.schemas.objects import StateType, WorkerStatus

from blocks.runs import JOB_TAG
from blocks.runs.record import WAITING

FRESH_S = 1.0
COUNTS_FRESH_S = 10.0
PATIENCE_S = 5.0
"""A machine that works hard answers late; that is no reason to send its clients away."""

T = TypeVar("T")


class Recent(Generic[T]):
    """Something worth asking for only once in a while; who asks meanwhile is told the same.

    Args:
        ask: Asks for it.
        fresh_s: How long an answer stands.
    """

    def __init__(self, ask: Callable[[], Awaitable[T]], fresh_s: float) -> None:
        self._ask = ask
        self._fresh_s = fresh_s
        self._asking = asyncio.Lock()
        self._told: tuple[float, T] | None = None

    async def get(self) -> T:
        """The latest answer, or a new one where that is too old."""
        async with self._asking:
            if self._told is None or time.monotonic() - self._told[0] > self._fresh_s:
                answer = await self._ask()
                self._told = (time.monotonic(), answer)
            return self._told[1]


@dataclass(frozen=True)
class QueueState:
    """What waits, and for whom: jobs waiting, workers with a fresh heartbeat by the name of their pool."""

    depth: int
    pools: Mapping[str, int]

    @property
    def workers(self) -> int:
        """Workers with a fresh heartbeat."""
        return sum(self.pools.values())


class Load:
    """The load of the service.

    Args:
        prefect: The connection with the Prefect server.
    """

    def __init__(self, prefect: PrefectClient) -> None:
        self._prefect = prefect
        self._queue = Recent(lambda: _patiently(self._read_queue()), FRESH_S)
        self._jobs = Recent(lambda: _patiently(self._count_jobs()), COUNTS_FRESH_S)

    async def queue(self) -> QueueState | None:
        """The queue and the workers, None while Prefect does not answer."""
        return await self._queue.get()

    async def jobs(self) -> dict[str, int] | None:
        """Jobs by the state of their run, None while Prefect does not answer."""
        return await self._jobs.get()

    async def _read_queue(self) -> QueueState:
        depth, pools = await asyncio.gather(self._count(*WAITING), self._workers())
        return QueueState(depth=depth, pools=pools)

    async def _workers(self) -> dict[str, int]:
        pools = await self._prefect.read_work_pools()
        found = await asyncio.gather(*(self._prefect.read_workers_for_work_pool(pool.name) for pool in pools))
        return {
            pool.name: sum(worker.status == WorkerStatus.ONLINE for worker in workers)
            for pool, workers in zip(pools, found, strict=True)
        }

    async def _count_jobs(self) -> dict[str, int]:
        counts = await asyncio.gather(*(self._count(state) for state in StateType))
        return {state.value.lower(): count for state, count in zip(StateType, counts, strict=True)}

    async def _count(self, *states: StateType) -> int:
        wanted = FlowRunFilter(
            tags=FlowRunFilterTags(all_=[JOB_TAG]),
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=list(states))),
        )
        return await self._prefect.count_flow_runs(flow_run_filter=wanted)


async def _patiently(asking: Awaitable[T]) -> T | None:
    """The answer, None when Prefect gives none in time."""
    try:
        return await asyncio.wait_for(asking, PATIENCE_S)
    except (httpx.HTTPError, TimeoutError):
        return None
