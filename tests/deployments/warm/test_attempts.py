"""A worker, and the process it forked, leave an attempt alone that is not theirs, or not theirs any more."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

import pytest
from prefect.client.orchestration import PrefectClient, get_client
from prefect.states import AwaitingRetry, Cancelling, Pending, Running

from blocks.errors import Conflict
from deployments.warm import claims
from deployments.warm.preloaded import open_preloaded
from deployments.warm.starter import Prepared
from deployments.warm.worker import WarmWorker
from tests.conftest import ROOT
from tests.deployments.warm.conftest import MODULE, NOT_LOADED, Pool, alive, eventually, facts

DEAD = claims.Claim(claims.mine().host, "1:1:no-boot")
OTHER = claims.Claim("another-host/1/pid:[1]", "1:1:no-boot")

Claimed = Callable[[claims.Claim], UUID]


@pytest.fixture
def claimed(pool: Pool, tmp_path: Path) -> Claimed:
    """Makes a run that a worker has claimed and not started."""

    def make(claim: claims.Claim) -> UUID:
        run_id = pool.submit("report", out=str(tmp_path / "out"))
        pool.client.set_flow_run_state(run_id, Pending(message=str(claim)), force=True)
        return run_id

    return make


@asynccontextmanager
async def idle_worker(pool: Pool) -> AsyncGenerator[tuple[WarmWorker, PrefectClient]]:
    """A worker that is connected and does nothing of its own accord."""
    async with get_client() as client:
        worker = WarmWorker(work_pool_name=pool.name)
        worker._client = client  # pyright: ignore[reportPrivateUsage]
        yield worker, client


@pytest.fixture
def bystander() -> Iterator["Callable[[UUID], subprocess.Popen[bytes]]"]:
    """Starts a process as a run would start one."""
    started: list[subprocess.Popen[bytes]] = []

    def start(run_id: UUID) -> "subprocess.Popen[bytes]":
        program = [sys.executable, "-c", "import signal; signal.pause()"]
        environment = os.environ | {"PREFECT__FLOW_RUN_ID": str(run_id)}
        started.append(subprocess.Popen(program, env=environment, start_new_session=True))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_changed_code_is_loaded_afresh_while_earlier_runs_go_on(pool: Pool, tmp_path: Path) -> None:
    code = pool.folder / f"{MODULE}.py"
    with pool.worker() as worker:
        runs = {
            "warm": pool.submit("hang", out=str(tmp_path / "warm")),
            "fresh": pool.submit("hang", module=NOT_LOADED, out=str(tmp_path / "fresh")),
        }
        warm, fresh = (facts(tmp_path / name)["pids"] for name in runs)
        forkservers = [worker.forkserver()]
        for version in (2, 3):
            code.write_text(code.read_text().replace(f"VERSION = {version - 1}", f"VERSION = {version}"))
            pool.reaches(pool.submit("report", out=str(tmp_path / f"{version}")), "COMPLETED")
            assert facts(tmp_path / f"{version}")["version"] == version
            forkservers.append(facts(tmp_path / f"{version}")["parent"])
        assert all(alive(pid) for pid in [forkservers[0], *warm])
        assert pool.state(runs["warm"]) == "RUNNING"
        pool.client.set_flow_run_state(runs["warm"], Cancelling(), force=True)
        pool.reaches(runs["warm"], "CANCELLED")
        eventually(lambda: not any(alive(pid) for pid in forkservers[:2]))
        assert all(alive(pid) for pid in fresh)
        assert pool.state(runs["fresh"]) == "RUNNING"
    assert not any(alive(pid) for pid in fresh)


@pytest.mark.usefixtures("prefect_api")
async def test_a_death_is_reported_once(pool: Pool, claimed: Claimed) -> None:
    async with idle_worker(pool) as (worker, client):
        taken, waiting, mine = claimed(OTHER), claimed(claims.mine()), claimed(claims.mine())
        await client.set_flow_run_state(waiting, AwaitingRetry(), force=True)
        for run_id in (taken, waiting, mine):
            run = await client.read_flow_run(run_id)
            await worker._propose_crashed_state(run, "it died")  # pyright: ignore[reportPrivateUsage]
    assert [pool.state(run_id) for run_id in (taken, waiting, mine)] == ["PENDING", "SCHEDULED", "CRASHED"]


@pytest.mark.usefixtures("prefect_api")
async def test_a_worker_that_lost_its_claim_does_not_start_the_run(pool: Pool, claimed: Claimed) -> None:
    async with idle_worker(pool) as (worker, client):
        lost, mine = claimed(OTHER), claimed(claims.mine())
        await worker._propose_submitting_state(await client.read_flow_run(mine))  # pyright: ignore[reportPrivateUsage]
        with pytest.raises(Conflict):
            await worker._propose_submitting_state(await client.read_flow_run(lost))  # pyright: ignore[reportPrivateUsage]
        state = (await client.read_flow_run(lost)).state
    assert state and state.message == str(OTHER)


@pytest.mark.usefixtures("prefect_api")
async def test_a_forked_process_leaves_a_run_that_is_not_its_own(pool: Pool, claimed: Claimed, tmp_path: Path) -> None:
    environment = {**os.environ, "PREFECT_API_URL": pool.url, "PYTHONPATH": f"{pool.folder}{os.pathsep}{ROOT}"}
    preloaded = await open_preloaded([MODULE], environment=environment)
    listening = asyncio.create_task(preloaded.listen())
    prepared = Prepared(environment={**environment}, folder=None, quiet=False, entrypoint=f"{MODULE}.report")

    async def ends_with(claim: claims.Claim) -> tuple[int | None, str]:
        run_id = claimed(claim)
        process = await preloaded.fork(prepared.start(await asyncio.to_thread(pool.run, run_id), {}))
        await process.ended.wait()
        return process.returncode, pool.state(run_id)

    assert await ends_with(OTHER) == (0, "PENDING")
    assert not (tmp_path / "out").exists()
    assert await ends_with(claims.mine()) == (0, "COMPLETED")
    preloaded.close()
    await listening


@pytest.mark.usefixtures("prefect_api")
async def test_a_run_that_has_moved_on_keeps_its_processes(
    pool: Pool, claimed: Claimed, bystander: "Callable[[UUID], subprocess.Popen[bytes]]"
) -> None:
    run_id = claimed(DEAD)
    stale = pool.run(run_id)
    pool.client.set_flow_run_state(run_id, Running(), force=True)
    process = bystander(run_id)
    async with get_client() as client:
        assert await claims._report(client, stale) is None  # pyright: ignore[reportPrivateUsage]
        assert process.poll() is None
        assert await claims._report(client, pool.run(run_id))  # pyright: ignore[reportPrivateUsage]
    assert process.wait(timeout=30) == -9
    assert pool.state(run_id) == "CRASHED"
