"""A job that is cancelled or killed gives back what it held: the GPU's slot, the model's process."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psutil
import pytest
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.objects import StateType
from prefect.settings import PREFECT_API_URL, temporary_settings

from blocks.runs import JobRun, cancel_run, read_run, submit_run
from deployments.server import migrated_template
from deployments.service.environment import RUN_ENVIRONMENT
from tests.fakes.deployed import deploy, start, state_of, until
from tests.fakes.holding import GPU
from tests.fakes.prefect_server import KillableServer
from tests.processes import stop

ENTRYPOINT = "tests.fakes.holding.process_text"
CANCEL_POOL = "cancel-pool"


@pytest.fixture
async def client(prefect_api: str) -> AsyncIterator[PrefectClient]:
    """A client of the session's server."""
    async with get_client() as opened:
        yield opened


@pytest.fixture
def worker(client: PrefectClient) -> Iterator[None]:
    """Prefect's own worker for the pool."""
    command = [str(Path(sys.executable).parent / "prefect"), "worker", "start", "--pool", CANCEL_POOL]
    with Path("worker.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--type", "process"],
            env=os.environ | RUN_ENVIRONMENT | {"PREFECT_WORKER_QUERY_SECONDS": "1"},
            stdout=log,
            stderr=log,
        )
    yield
    stop(process, within_s=60)


async def submit(client: PrefectClient, pool: str) -> JobRun:
    deployment = await deploy(client, "process-text", ENTRYPOINT, pool)
    run, _ = await submit_run(
        client,
        deployment=deployment,
        parameters={"processes": str(Path("processes.json").absolute())},
        name="notes.txt",
        owner="anna",
        idempotency_key=str(Path.cwd()),
    )
    return run


async def processes() -> dict[str, int]:
    """What the job started, once it holds the GPU and computes."""

    async def holds() -> bool:
        return Path("processes.json").exists() and Path("never.began").exists()

    await until(holds)
    return json.loads(Path("processes.json").read_text())


async def slots_taken(client: PrefectClient) -> int:
    return (await client.read_global_concurrency_limit_by_name(f"gpu-{GPU}")).active_slots


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


async def test_a_cancelled_job_frees_gpu_and_processes(client: PrefectClient, worker: None) -> None:
    run = await submit(client, CANCEL_POOL)
    started = await processes()
    assert await slots_taken(client) == 1
    assert not (await cancel_run(client, run.run_id)).finished

    async def ended() -> bool:
        return (await read_run(client, run.run_id)).finished

    await until(ended)
    error = (await read_run(client, run.run_id)).error
    assert error is not None
    assert error.code == "CANCELLED"

    async def free() -> bool:
        return gone(started["flow"]) and gone(started["model"]) and await slots_taken(client) == 0

    await until(free, 30)  # long before the slot's lease ends by itself


async def test_a_killed_job_leaves_no_process(client: PrefectClient) -> None:
    run = await submit(client, CANCEL_POOL)
    process = await start(client, run.run_id, Path("run.log"), **RUN_ENVIRONMENT)
    started = await processes()
    assert started["group"] == process.pid
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()

    async def no_model() -> bool:
        return gone(started["model"])

    await until(no_model)


async def test_a_job_whose_worker_is_gone_is_cancelled_by_the_server(
    running_prefect_server: str, tmp_path: Path
) -> None:
    cleanup = "PREFECT_SERVER_SERVICES_CANCELLATION_CLEANUP"
    soon = {f"{cleanup}_CANCELLING_TIMEOUT_SECONDS": "2", f"{cleanup}_LOOP_SECONDS": "1"}
    server = KillableServer(tmp_path / "server", migrated_template(), soon)
    server.start()
    try:
        with temporary_settings({PREFECT_API_URL: server.url}):
            async with get_client() as client:
                run = await submit(client, CANCEL_POOL)
                process = await start(client, run.run_id, Path("run.log"))
                await processes()
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                await cancel_run(client, run.run_id)

                async def cancelled() -> bool:
                    return (await state_of(client, run.run_id)).type == StateType.CANCELLED

                await until(cancelled)
    finally:
        server.kill()
