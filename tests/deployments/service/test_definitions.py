"""Definitions on a real server: made once, the same when applied again, and what a person changed stays."""

from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.actions import DeploymentUpdate, WorkPoolCreate, WorkPoolUpdate
from prefect.flows import load_flow_from_entrypoint
from prefect.settings import PREFECT_API_URL, temporary_settings

from blocks.environment import variables
from blocks.errors import Conflict
from blocks.runs.queue import FAIR_QUEUES
from blocks.settings import settings
from deployments.server import temporary_server
from deployments.service.definitions import apply_definitions, apply_deployment
from deployments.service.home import SERVER_AUTH
from deployments.service.pools import apply_pools, gpu_plan, pool_plans, template_environment
from deployments.service.prefect_file import Definition, Schedule, definitions, prefect_file
from deployments.service.shared_store import check_shared, mark_store

GPUS = 2


OF_ANOTHER_SERVER = {
    SERVER_AUTH: "ops:secret",
    "PREFECT_MESSAGING_BROKER": "prefect_redis.messaging",
    "PREFECT_REDIS_MESSAGING_URL": "redis://127.0.0.1:1/0",
}


@pytest.fixture(scope="module")
def fresh_server() -> Iterator[str]:
    """A server of this module's own: others make pools of the same names."""
    with ExitStack() as stack:
        with variables(OF_ANOTHER_SERVER):
            url = stack.enter_context(temporary_server())
        yield url


@pytest.fixture
async def client(fresh_server: str) -> AsyncIterator[PrefectClient]:
    with temporary_settings({PREFECT_API_URL: fresh_server}):
        async with get_client() as client:
            yield client


def test_a_temporary_server_takes_nothing_of_other_servers(fresh_server: str) -> None:
    assert httpx.get(f"{fresh_server}/admin/version", timeout=60, trust_env=False).is_success


def find(name: str, gpus: int = 0) -> Definition:
    return next(one for one in definitions(gpus) if one.name == name)


async def snapshot(client: PrefectClient) -> dict[str, object]:
    """All that is defined, less what moves by itself."""
    deployments = await client.read_deployments(limit=200)
    pools = await client.read_work_pools(limit=200)
    automations = await client.read_automations()
    return {
        "deployments": {one.name: (one.id, one.updated, one.version, one.paused) for one in deployments},
        "pools": {pool.name: (pool.id, pool.updated, pool.type, pool.concurrency_limit) for pool in pools},
        "queues": {
            pool.name: sorted((queue.name, queue.priority) for queue in await client.read_work_queues(pool.name))
            for pool in pools
        },
        "limits": {
            one.name: one.limit
            for one in await client.read_global_concurrency_limits(limit=100)
            if not one.name.startswith("deployment:")
        },
        "automations": {one.name: one.id for one in automations},
    }


@pytest.mark.parametrize("entrypoint", sorted({one.entrypoint for one in definitions(0)}))
def test_every_entrypoint_loads(entrypoint: str) -> None:
    flow = load_flow_from_entrypoint(entrypoint, use_placeholder_flow=False)
    assert flow.name == entrypoint.rsplit(".", 1)[1].replace("_", "-")


def test_the_definitions_are_those_that_prefect_deploys() -> None:
    assert prefect_file().parent.joinpath("pyproject.toml").exists()
    names = [one.name for one in definitions(1)]
    assert names == [
        "process-audio",
        "process-text",
        "process-batch",
        "retry-crashed",
        "recover-runs",
        "sweep-uploads",
        "dispatch-request",
        "run-agent",
        "anchor-audit",
        "consolidate-memory",
        "run-team",
        "sweep-agents",
        "sweep-approvals",
        "maintain",
        "migrate",
        "analyse-logs",
        "watch-rollout",
        "deploy-service",
        "run-runbook",
        "clean-all",
        "clean-logs",
        "clean-audio",
        "clean-cache",
        "clean-evidence",
        "watch-disk",
        "triage-ci",
        "review-change",
        "fix-tests",
        "respond-to-incident",
        "write-postmortem",
        "heal-disk",
        "detect-drift",
        "undo-drift",
        "plan-capacity",
        "audit-quality-daily",
        "audit-quality-weekly",
        "report-daily",
        "report-weekly",
        "evaluate",
        "export-data",
        "erase-data",
        "swarm",
        "swarm-shard",
        "agent-task",
        "download-workspace",
        "agent-combined",
        "agent-fleet",
        "batch-prompts",
        "fast-response",
        "fast-response-load",
        "process-audio-gpu-0",
        "process-text-gpu-0",
    ]


async def test_all_is_made_and_applying_it_again_changes_nothing(client: PrefectClient) -> None:
    await apply_definitions(client, GPUS)
    made = await snapshot(client)

    assert set(made["deployments"]) == {one.name for one in definitions(GPUS)}  # type: ignore[arg-type]
    assert set(made["pools"]) == {"cpu", "agents", "gpu-0", "gpu-1"}  # type: ignore[arg-type]
    assert made["limits"] == {"gpu-0": 1, "gpu-1": 1}
    assert made["automations"]
    fair = sorted([*FAIR_QUEUES.items(), ("default", 6)])
    assert made["queues"] == {"cpu": fair, "gpu-0": fair, "gpu-1": fair, "agents": [("default", 1)]}

    await apply_definitions(client, GPUS)
    assert await snapshot(client) == made


async def test_another_store_is_not_made_the_services_by_mistake(
    client: PrefectClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await mark_store(client, new_store=True)
    ours = await check_shared(client)
    monkeypatch.setenv("AUDIO_DIR", str(tmp_path / "elsewhere"))
    settings.cache_clear()
    with pytest.raises(Conflict, match="is not the store of the service") as refused:
        await apply_definitions(client, 0)
    assert ours in refused.value.message
    await mark_store(client, new_store=True)
    assert await check_shared(client) != ours


async def test_the_pools_are_as_planned(client: PrefectClient) -> None:
    await apply_pools(client, GPUS)
    for plan in pool_plans(GPUS):
        assert plan.differences(await client.read_work_pool(plan.name)) == []
    assert template_environment(await client.read_work_pool("gpu-1"))["CUDA_VISIBLE_DEVICES"] == "1"


async def test_a_gpu_variant_runs_on_its_gpu(client: PrefectClient) -> None:
    await apply_pools(client, GPUS)
    await apply_deployment(client, find("process-audio-gpu-1", GPUS))
    made = await client.read_deployment_by_name("process-audio/process-audio-gpu-1")
    assert (made.work_pool_name, made.entrypoint) == ("gpu-1", "flows.audio.process_audio")


async def test_what_a_person_changed_stays(client: PrefectClient) -> None:
    await apply_pools(client, 0)
    definition = find("recover-runs")
    await apply_deployment(client, definition)
    made = await client.read_deployment_by_name("recover-runs/recover-runs")
    await client.update_deployment_schedule(made.id, made.schedules[0].id, active=False)
    await client.update_deployment(made.id, DeploymentUpdate(tags=["mine"], paused=True))
    await client.update_work_pool("cpu", WorkPoolUpdate(concurrency_limit=3, is_paused=True))

    await apply_pools(client, 0)
    await apply_deployment(client, definition)

    found = await client.read_deployment_by_name("recover-runs/recover-runs")
    pool = await client.read_work_pool("cpu")
    assert (found.tags, found.paused, found.schedules[0].active) == (["mine"], True, False)
    assert (pool.concurrency_limit, pool.is_paused) == (3, True)
    await client.update_work_pool("cpu", WorkPoolUpdate(concurrency_limit=None, is_paused=False))


async def test_changed_code_reaches_the_deployment_and_leaves_pauses_alone(client: PrefectClient) -> None:
    await apply_pools(client, 0)
    before = find("sweep-uploads")
    await apply_deployment(client, before)
    made = await client.read_deployment_by_name("sweep-uploads/sweep-uploads")
    await client.update_deployment_schedule(made.id, made.schedules[0].id, active=False)

    schedules = (Schedule(slug="every-hour", interval=1800), Schedule(slug="at-night", cron="0 3 * * *"))
    await apply_deployment(client, before.model_copy(update={"description": "new", "schedules": schedules}))

    found = await client.read_deployment_by_name("sweep-uploads/sweep-uploads")
    timings = {one.slug: (one.active, one.schedule) for one in found.schedules}
    assert found.description == "new"
    assert found.version != made.version
    assert timings["every-hour"][0] is False
    assert timings["every-hour"][1].interval == timedelta(minutes=30)  # type: ignore[union-attr]
    assert timings["at-night"][0] is True


async def test_a_pool_of_another_type_is_refused_with_the_way_out(client: PrefectClient) -> None:
    await client.create_work_pool(WorkPoolCreate(name="gpu-2", type="docker"))
    with pytest.raises(Conflict, match="gpu-2 is of type docker") as refused:
        await apply_pools(client, 3)
    assert "prefect work-pool delete gpu-2" in refused.value.fix


async def test_a_pool_that_lost_its_pin_is_noticed_and_mended(client: PrefectClient) -> None:
    await apply_pools(client, 1)
    pool = await client.read_work_pool("gpu-0")
    env = pool.base_job_template["variables"]["properties"]["env"]
    env["default"] = {"HF_HOME": "/models"}
    await client.update_work_pool("gpu-0", WorkPoolUpdate(base_job_template=pool.base_job_template))
    [problem] = gpu_plan(0).differences(await client.read_work_pool("gpu-0"))
    assert "CUDA_VISIBLE_DEVICES" in problem

    await apply_pools(client, 1)

    mended = template_environment(await client.read_work_pool("gpu-0"))
    assert (mended["CUDA_VISIBLE_DEVICES"], mended["HF_HOME"]) == ("0", "/models")


async def test_runs_of_every_pool_send_heartbeats(client: PrefectClient) -> None:
    await apply_pools(client, 0)
    for name in ("cpu", "agents"):
        environment = template_environment(await client.read_work_pool(name))
        assert environment["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"] == "30"
