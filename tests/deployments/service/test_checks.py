"""`c500 doctor` on a service with something wrong: each fault is named, with its fix."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import DeploymentUpdate, WorkPoolUpdate

from blocks.errors import C500Error
from blocks.settings import settings
from deployments.service import checks
from deployments.service.automations import CRASHED
from deployments.service.definitions import apply_definitions
from tests.service import Service

Break = Callable[[PrefectClient], Awaitable[None]]


async def lose_queue(client: PrefectClient) -> None:
    queue = await client.read_work_queue_by_name("fair-3", work_pool_name="cpu")
    await client.delete_work_queue_by_id(queue.id)


async def lose_deployment(client: PrefectClient) -> None:
    found = await client.read_deployment_by_name("process-text/process-text")
    await client.delete_deployment(found.id)


async def lose_automation(client: PrefectClient) -> None:
    for found in await client.read_automations_by_name(CRASHED):
        await client.delete_automation(found.id)


async def lose_heartbeats(client: PrefectClient) -> None:
    pool = await client.read_work_pool("agents")
    pool.base_job_template["variables"]["properties"]["env"]["default"] = {}
    await client.update_work_pool("agents", WorkPoolUpdate(base_job_template=pool.base_job_template))


FAULTS: dict[str, tuple[str, Break, str]] = {
    "queue": ("pools", lose_queue, "has no queue fair-3"),
    "deployment": ("deployments", lose_deployment, "no deployment process-text/process-text"),
    "automation": ("automations", lose_automation, "no automation «c500: crashed jobs run again»"),
    "heartbeat": ("heartbeat", lose_heartbeats, "every None s, not every 30"),
}


async def test_what_is_missing_is_named_and_applying_the_definitions_mends_it(
    service: Service, service_client: PrefectClient
) -> None:
    for _, break_it, _ in FAULTS.values():
        await break_it(service_client)
    for part, _, message in FAULTS.values():
        with pytest.raises(C500Error, match=message) as found:
            await checks.CHECKS[part](service_client)
        assert found.value.fix
    await apply_definitions(service_client, 0)
    for part, _, _ in FAULTS.values():
        assert await checks.CHECKS[part](service_client)


@asynccontextmanager
async def paused_pool(client: PrefectClient) -> AsyncIterator[None]:
    await client.update_work_pool("agents", WorkPoolUpdate(is_paused=True))
    yield
    await client.update_work_pool("agents", WorkPoolUpdate(is_paused=False))


async def test_a_paused_pool_is_named(service_client: PrefectClient) -> None:
    async with paused_pool(service_client):
        with pytest.raises(C500Error, match="paused: agents"):
            await checks.check_pools(service_client)


async def test_a_paused_deployment_is_named(service_client: PrefectClient) -> None:
    found = await service_client.read_deployment_by_name("recover-runs/recover-runs")
    await service_client.update_deployment(found.id, DeploymentUpdate(paused=True))
    try:
        with pytest.raises(C500Error, match="recover-runs/recover-runs is paused"):
            await checks.check_deployments(service_client)
    finally:
        await service_client.update_deployment(found.id, DeploymentUpdate(paused=False))


async def test_recovery_that_does_not_run_is_named(
    service: Service, service_client: PrefectClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "lost jobs" in await checks.check_recovery(service_client)
    monkeypatch.setattr(checks, "RECOVERY_LATE_S", -1.0)
    with pytest.raises(C500Error, match="lost jobs are not looked for"):
        await checks.check_recovery(service_client)


async def test_databases_are_reached_with_their_passwords_which_nothing_shows(
    service_client: PrefectClient, postgres_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERVER_POSTGRES_URL", postgres_url)
    monkeypatch.setenv("SERVER_REDIS_URL", redis_url)
    settings.cache_clear()
    assert "version" in await checks.check_postgres(service_client)
    assert "version" in await checks.check_redis(service_client)

    monkeypatch.setenv("SERVER_POSTGRES_URL", postgres_url.replace("postgres:", "postgres:wrong-"))
    monkeypatch.setenv("SERVER_REDIS_URL", redis_url.replace("redis://:", "redis://:wrong-"))
    settings.cache_clear()
    for check in (checks.check_postgres, checks.check_redis):
        with pytest.raises(C500Error) as refused:
            await check(service_client)
        assert "wrong-" not in refused.value.message


async def test_a_server_without_a_service_has_nothing_to_check(prefect_api: str) -> None:
    found = await checks.check_service()
    assert found == {"service": "none on this Prefect server; `c500 up` makes one"}
