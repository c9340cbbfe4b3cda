"""What the service does now, read from Prefect, the store's disk, the GPUs and the gateway."""

import asyncio
import shutil
from datetime import UTC, datetime
from pathlib import Path

import httpx
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import (
    DeploymentFilter,
    FlowRunFilter,
    FlowRunFilterExpectedStartTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
    WorkPoolFilter,
    WorkPoolFilterName,
)
from prefect.client.schemas.objects import FlowRun, StateType, WorkPool
from prefect.client.schemas.sorting import FlowRunSort

from blocks.errors import Unsupported
from blocks.model import Frozen
from blocks.store import LocalFiles, open_store
from blocks.vram import Nvml, gpu_count
from deployments.service.home import read_running

WAITING = [StateType.SCHEDULED, StateType.PENDING]
MOST_RUNNING = 50
"""Running flows that are listed by name."""


class PoolNow(Frozen):
    """A work pool: how much waits and runs, and who works."""

    name: str
    type: str
    paused: bool
    limit: int | None
    waiting: int
    running: int
    online: tuple[str, ...]
    offline: tuple[str, ...]


class RunNow(Frozen):
    """A run that is in hand."""

    name: str
    pool: str | None
    since: datetime


class GpuNow(Frozen):
    """The memory of a GPU."""

    index: int
    total_bytes: int
    used_bytes: int


class StoreNow(Frozen):
    """The store; what is free when it is a folder of this machine."""

    uri: str
    free_bytes: int | None
    total_bytes: int | None


class GatewayNow(Frozen):
    """The gateway of this machine."""

    url: str
    answers: bool
    detail: str


class Overview(Frozen):
    """The whole service at one moment."""

    at: datetime
    api_url: str
    pools: tuple[PoolNow, ...]
    runs: dict[str, int]
    running: tuple[RunNow, ...]
    gpus: tuple[GpuNow, ...]
    store: StoreNow
    gateway: GatewayNow | None


async def look(client: PrefectClient) -> Overview:
    """Read everything, side by side."""
    now = datetime.now(UTC)
    pools = sorted(await client.read_work_pools(limit=200), key=lambda pool: pool.name)
    pools_now, runs, running, gateway = await asyncio.gather(
        asyncio.gather(*(_pool(client, pool, now) for pool in pools)),
        _runs_by_state(client, now),
        _running(client),
        _gateway(),
    )
    return Overview(
        at=now,
        api_url=str(client.api_url),
        pools=tuple(pools_now),
        runs=runs,
        running=running,
        gpus=gpus(),
        store=store(),
        gateway=gateway,
    )


async def _pool(client: PrefectClient, pool: WorkPool, now: datetime) -> PoolNow:
    waiting, running, workers = await asyncio.gather(
        _count(client, WAITING, pool=pool.name, due_by=now),
        _count(client, [StateType.RUNNING, StateType.CANCELLING], pool=pool.name),
        client.read_workers_for_work_pool(pool.name),
    )
    online = tuple(sorted(worker.name for worker in workers if worker.status == "ONLINE"))
    return PoolNow(
        name=pool.name,
        type=pool.type,
        paused=pool.is_paused,
        limit=pool.concurrency_limit,
        waiting=waiting,
        running=running,
        online=online,
        offline=tuple(sorted(worker.name for worker in workers if worker.name not in online)),
    )


async def _runs_by_state(client: PrefectClient, now: datetime) -> dict[str, int]:
    """All runs by state; scheduled ones only when they are due."""
    counts = await asyncio.gather(
        *(_count(client, [state], due_by=now if state == StateType.SCHEDULED else None) for state in StateType)
    )
    return {state.value: count for state, count in zip(StateType, counts, strict=True) if count}


async def _count(
    client: PrefectClient, states: list[StateType], *, pool: str | None = None, due_by: datetime | None = None
) -> int:
    return await client.count_flow_runs(
        flow_run_filter=FlowRunFilter(
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=states)),
            expected_start_time=FlowRunFilterExpectedStartTime.model_validate({"before_": due_by}) if due_by else None,
        ),
        deployment_filter=DeploymentFilter() if pool else None,
        work_pool_filter=WorkPoolFilter(name=WorkPoolFilterName(any_=[pool])) if pool else None,
    )


async def _running(client: PrefectClient) -> tuple[RunNow, ...]:
    runs: list[FlowRun] = await client.read_flow_runs(
        flow_run_filter=FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.RUNNING]))),
        sort=FlowRunSort.START_TIME_ASC,
        limit=MOST_RUNNING,
    )
    return tuple(RunNow(name=run.name, pool=run.work_pool_name, since=run.start_time) for run in runs if run.start_time)


async def _gateway() -> GatewayNow | None:
    service = read_running()
    if service is None:
        return None
    try:
        async with httpx.AsyncClient(timeout=5, trust_env=False) as client:
            answer = await client.get(f"{service.gateway_url}/health")
        detail = str(answer.json().get("status", answer.status_code))
        return GatewayNow(url=service.gateway_url, answers=answer.is_success, detail=detail)
    except (httpx.HTTPError, ValueError) as error:
        return GatewayNow(url=service.gateway_url, answers=False, detail=type(error).__name__)


def gpus() -> tuple[GpuNow, ...]:
    """The GPUs of this machine that answer."""
    found: list[GpuNow] = []
    for index in range(gpu_count()):
        meter = Nvml(index)
        try:
            found.append(GpuNow(index=index, total_bytes=meter.total_bytes(), used_bytes=meter.used_bytes()))
        except Unsupported:
            continue
    return tuple(found)


def store() -> StoreNow:
    """The store of this machine."""
    files = open_store()
    uri = files.uri("jobs").removesuffix("/jobs")
    if not isinstance(files, LocalFiles):
        return StoreNow(uri=uri, free_bytes=None, total_bytes=None)
    usage = shutil.disk_usage(Path(files.root))
    return StoreNow(uri=uri, free_bytes=usage.free, total_bytes=usage.total)
