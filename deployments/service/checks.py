"""Is the service as it should be? What `c500 doctor` asks of a running one."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime

import httpx
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import StateType, WorkPool
from prefect.client.schemas.sorting import FlowRunSort
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from prefect.flows import load_flow_from_entrypoint

from blocks.errors import C500Error, EngineUnavailable, NotFound
from blocks.progress import in_thread
from blocks.settings import HEARTBEAT_S, settings
from deployments.service.home import logs_dir, read_running
from deployments.service.plan import WORKER_TYPE
from deployments.service.pools import gpu_plan, pool_plans, template_environment
from deployments.service.prefect_file import Definition, definitions
from deployments.service.shared_store import VARIABLE, check_shared

ANSWER_S = 10.0
LOAD_S = 60.0
"""The same where the code of all deployments is loaded, which a busy machine takes long for."""

RECOVERY = "recover-runs/recover-runs"
RECOVERY_LATE_S = 300.0
"""It runs every minute, when a worker is free; after so long something is wrong."""

HEARTBEAT_SETTING = "PREFECT_FLOWS_HEARTBEAT_FREQUENCY"
APPLY = "run `python -m deployments.service.definitions`, or start `c500 up` again"

Check = Callable[[PrefectClient], Awaitable[str]]


async def check_service() -> dict[str, str | C500Error]:
    """Every part of the service with a fact, or with what is wrong; nothing when the server has no service of ours."""
    async with get_client() as client:
        if read_running() is None and await client.read_variable_by_name(VARIABLE) is None:
            return {"service": "none on this Prefect server; `c500 up` makes one"}
        return {part: await _outcome(check, client) for part, check in CHECKS.items()}


async def _outcome(check: Check, client: PrefectClient) -> str | C500Error:
    patience_s = LOAD_S if check is check_deployments else ANSWER_S
    try:
        return await asyncio.wait_for(check(client), patience_s)
    except C500Error as error:
        return error
    except TimeoutError:
        return EngineUnavailable(f"no answer in {patience_s:g} s", fix=f"see the logs in {logs_dir()}")
    except PrefectHTTPStatusError as error:
        return EngineUnavailable(str(error).splitlines()[0], fix=f"see server.log in {logs_dir()}")


async def check_pools(client: PrefectClient) -> str:
    """The pools exist, and hold what is put into them."""
    found = {pool.name: pool for pool in await client.read_work_pools(limit=200)}
    for plan in pool_plans(0):
        if plan.name not in found:
            raise NotFound(f"there is no work pool {plan.name}", fix=APPLY)
    plans = [*pool_plans(0), *(gpu_plan(index) for index in _gpus_of(found))]
    for plan in plans:
        if wrong := plan.differences(found[plan.name]):
            raise C500Error(f"the work pool {plan.name} {wrong[0]}", fix=f"put it right in the Prefect UI, or {APPLY}")
        queues = {queue.name for queue in await client.read_work_queues(plan.name)}
        if missing := sorted(plan.queues.keys() - queues):
            raise NotFound(f"the work pool {plan.name} has no queue {missing[0]}", fix=APPLY)
    paused = [plan.name for plan in plans if found[plan.name].is_paused]
    if paused:
        raise C500Error(f"paused: {', '.join(paused)}", fix=f"`prefect work-pool resume {paused[0]}`")
    return ", ".join(plan.name for plan in plans)


async def check_limits(client: PrefectClient) -> str:
    """Every GPU has its limit of one model at a time."""
    pools = {pool.name: pool for pool in await client.read_work_pools(limit=200)}
    names = [gpu_plan(index).name for index in _gpus_of(pools)]
    for name in names:
        try:
            limit = await client.read_global_concurrency_limit_by_name(name)
        except ObjectNotFound:
            raise NotFound(f"there is no concurrency limit {name}", fix=APPLY) from None
        if not limit.active or limit.limit != 1:
            raise C500Error(
                f"the concurrency limit {name} lets {limit.limit if limit.active else 'all'} in at once",
                fix=f"`prefect gcl update {name} --limit 1 --enable`",
            )
    return ", ".join(names) or "no GPU pools"


async def check_deployments(client: PrefectClient) -> str:
    """Every deployment exists and follows this version of the code."""
    pools = {pool.name: pool for pool in await client.read_work_pools(limit=200)}
    wanted = definitions(max(_gpus_of(pools), default=-1) + 1)
    for definition in wanted:
        await _check_deployment(client, definition)
    return f"{len(wanted)} present"


async def _check_deployment(client: PrefectClient, definition: Definition) -> None:
    flow = await in_thread(load_flow_from_entrypoint, definition.entrypoint, use_placeholder_flow=False)
    name = f"{flow.name}/{definition.name}"
    try:
        found = await client.read_deployment_by_name(name)
    except ObjectNotFound:
        raise NotFound(f"there is no deployment {name}", fix=APPLY) from None
    if (found.entrypoint, found.work_pool_name) != (definition.entrypoint, definition.work_pool.name):
        raise C500Error(f"{name} runs {found.entrypoint} in the pool {found.work_pool_name}", fix=APPLY)
    if found.paused:
        raise C500Error(f"{name} is paused", fix="`prefect deployment schedule resume`, or its page in the Prefect UI")
    sleeping = [one.slug for one in found.schedules if not one.active and one.slug]
    if sleeping:
        raise C500Error(f"the schedule {sleeping[0]} of {name} is paused", fix="resume it in the Prefect UI")


async def check_automations(client: PrefectClient) -> str:
    """The automations that recover crashed jobs exist, and are on."""
    from deployments.service.automations import CRASHED, SILENT

    for name in (SILENT, CRASHED):
        found = await client.read_automations_by_name(name)
        if not found:
            raise NotFound(f"there is no automation «{name}»", fix=APPLY)
        if not found[0].enabled:
            raise C500Error(f"the automation «{name}» is off", fix="switch it on in the Prefect UI")
    return "silent runs crash, crashed jobs run again"


async def check_recovery(client: PrefectClient) -> str:
    """What brings lost jobs back really runs, every minute: schedules and workers that only look well are found so."""
    deployment = await client.read_deployment_by_name(RECOVERY)
    runs = await client.read_flow_runs(
        deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[deployment.id])),
        flow_run_filter=FlowRunFilter(
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.COMPLETED]))
        ),
        sort=FlowRunSort.END_TIME_DESC,
        limit=1,
    )
    ran_at = runs[0].end_time if runs else None
    since = ran_at or deployment.created
    silent_s = (datetime.now(UTC) - since).total_seconds() if since else 0.0
    if silent_s > RECOVERY_LATE_S:
        raise EngineUnavailable(
            f"lost jobs are not looked for: {RECOVERY} last ended {silent_s / 60:.0f} minutes ago"
            if ran_at
            else f"lost jobs are not looked for: {RECOVERY} never ended well",
            fix=f"see its latest runs in the Prefect UI, and worker-agents.log in {logs_dir()}",
        )
    return f"lost jobs were looked for {silent_s:.0f} s ago" if ran_at else "lost jobs are not yet looked for"


async def check_workers(client: PrefectClient) -> str:
    """Somebody works in every pool."""
    idle: list[str] = []
    online: list[str] = []
    for pool in await client.read_work_pools(limit=200):
        workers = await client.read_workers_for_work_pool(pool.name)
        names = [worker.name for worker in workers if worker.status == "ONLINE"]
        online += names
        if not names and (pool.name in ("cpu", "agents") or _gpus_of({pool.name: pool})):
            idle.append(pool.name)
    if idle:
        raise EngineUnavailable(f"nobody works in {', '.join(idle)}", fix=f"`c500 worker {idle[0]}`")
    return ", ".join(online)


async def check_heartbeat(client: PrefectClient) -> str:
    """Runs tell that they live, often enough for the automation that watches them."""
    from deployments.service.automations import MISSED

    for pool in await client.read_work_pools(limit=200):
        given = template_environment(pool).get(HEARTBEAT_SETTING)
        if pool.type == WORKER_TYPE and given != str(HEARTBEAT_S):
            raise C500Error(
                f"runs in the pool {pool.name} send a heartbeat every {given} s, not every {HEARTBEAT_S}",
                fix=f"set {HEARTBEAT_SETTING}={HEARTBEAT_S} in the pool's base job template: its runs count as crashed",
            )
    return f"every {HEARTBEAT_S} s; a run silent for {MISSED * HEARTBEAT_S} s is crashed"


async def check_gateway(_: PrefectClient) -> str:
    """The gateway of this machine answers and finds its parts well."""
    service = read_running()
    if service is None:
        return "not on this machine"
    try:
        async with httpx.AsyncClient(timeout=ANSWER_S, trust_env=False) as client:
            health = (await client.get(f"{service.gateway_url}/health")).raise_for_status().json()
    except (httpx.HTTPError, ValueError) as error:
        raise EngineUnavailable(
            f"{service.gateway_url} does not answer ({type(error).__name__})", fix=f"see gateway.log in {logs_dir()}"
        ) from error
    bad = [f"{name}: {part['detail']}" for name, part in health["parts"].items() if not part["ok"]]
    if bad:
        raise EngineUnavailable(f"{service.gateway_url}: {'; '.join(bad)}", fix="see the parts that it names")
    waiting, most = health["queue_depth"], settings().max_queue_depth
    if waiting >= most:
        raise EngineUnavailable(
            f"{waiting} jobs wait, and the queue takes {most}: new ones are refused",
            fix="wait, start more workers (`c500 worker`), or raise MAX_QUEUE_DEPTH for the gateway and here",
        )
    return f"healthy at {service.gateway_url}, {waiting} waiting of at most {most}"


async def check_store(client: PrefectClient) -> str:
    """This machine has the store of the service."""
    return await check_shared(client)


async def check_postgres(_: PrefectClient) -> str:
    """The database of the Prefect server answers."""
    url = settings().server_postgres_url
    if url is None:
        return "not configured: SQLite, for one server"
    import asyncpg

    try:
        connection = await asyncpg.connect(url.get_secret_value(), timeout=int(ANSWER_S))
    except (OSError, TimeoutError, asyncpg.PostgresError, ValueError) as error:
        raise EngineUnavailable(
            f"SERVER_POSTGRES_URL does not work: {type(error).__name__}: {error}",
            fix="start PostgreSQL, or correct the address",
        ) from error
    version = connection.get_server_version()
    await connection.close()
    return f"version {version.major}.{version.minor}"


async def check_redis(_: PrefectClient) -> str:
    """What carries the Prefect server's messages answers."""
    url = settings().server_redis_url
    if url is None:
        return "not configured: messages stay in the one server's memory"
    from redis.asyncio import Redis
    from redis.exceptions import RedisError

    redis: Redis = Redis.from_url(url.get_secret_value(), socket_timeout=ANSWER_S, socket_connect_timeout=ANSWER_S)
    try:
        info = await redis.info("server")
    except (RedisError, OSError) as error:
        raise EngineUnavailable(
            f"SERVER_REDIS_URL does not work: {type(error).__name__}: {error}",
            fix="start Redis, or correct the address",
        ) from error
    finally:
        await redis.aclose()
    return f"version {info['redis_version']}"


async def check_keys(_: PrefectClient) -> str:
    """Clients have keys, and none of them is a default one."""
    from blocks.keys import KeyRing
    from blocks.store import open_store
    from deployments.gateway.web.auth import check_exposure

    check_exposure(settings())
    ring = KeyRing(open_store(), settings().secret_api_key)
    if not ring.usable():
        raise NotFound("there is no API key", fix="`c500 keys create NAME`")
    return f"{sum(not key.revoked_at for key in ring.list())} in use"


def _gpus_of(pools: dict[str, WorkPool]) -> list[int]:
    """Numbers of the GPUs that have pools."""
    found: list[int] = []
    for name in pools:
        with suppress(ValueError):
            kind, _, number = name.rpartition("-")
            if kind == "gpu":
                found.append(int(number))
    return sorted(found)


CHECKS: dict[str, Check] = {
    "pools": check_pools,
    "gpu limits": check_limits,
    "deployments": check_deployments,
    "automations": check_automations,
    "workers": check_workers,
    "recovery": check_recovery,
    "heartbeat": check_heartbeat,
    "gateway": check_gateway,
    "shared store": check_store,
    "postgresql": check_postgres,
    "redis": check_redis,
    "api keys": check_keys,
}
