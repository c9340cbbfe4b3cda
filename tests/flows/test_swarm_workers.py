"""A swarm spread over the workers of a pool: every row once, although a worker's process is killed."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from prefect.client.orchestration import get_client

from flows import spread, swarm
from tests.fakes.deployed import deploy
from tests.fakes.llm.simulated import Simulated
from tests.flows.swarming import PROMPT, SCHEMA, assert_each_row_once, lines, shared_simulator, write_rows
from tests.processes import eventually, stop

POOL = "swarm-pool"


@pytest.fixture
def sim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulated]:
    """Four accounts; the settings of this process and its children lead there."""
    with shared_simulator(tmp_path, monkeypatch, mean_ms=100) as one:
        yield one


@pytest.fixture
def worker(prefect_server: str, tmp_path: Path) -> Iterator[None]:
    """Prefect's own worker."""
    command = [str(Path(sys.executable).parent / "prefect"), "worker", "start", "--pool", POOL, "--type", "process"]
    environment = os.environ | {"PREFECT_WORKER_QUERY_SECONDS": "1"}
    with (tmp_path / "worker.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
    yield
    stop(process, within_s=60)


def shard_processes() -> list[psutil.Process]:
    """Processes of shards that a worker of this test's process started."""
    found = psutil.Process().children(recursive=True)
    return [one for one in found if "prefect.engine" in " ".join(one.cmdline()) or "flow_engine" in str(one.cmdline())]


@pytest.mark.soak
@pytest.mark.timeout(600)
async def test_a_killed_shard_is_run_again_and_every_row_is_answered_once(
    prefect_api: str, sim: Simulated, worker: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with get_client() as client:
        monkeypatch.setattr(spread, "SHARD", await deploy(client, "swarm-shard", "flows.swarm.swarm_shard", POOL))
    rows = write_rows(tmp_path / "rows.jsonl", 2_000)
    output = tmp_path / "out.jsonl"
    fields = {"prompt": PROMPT, "output": str(output), "schema": SCHEMA, "model": "m", "concurrency": 20}
    running = asyncio.create_task(swarm(str(rows), workers=2, **fields))
    part = tmp_path / "out.jsonl.part-000.jsonl"
    await eventually(lambda: len(lines(part)) > 50, 200)
    os.kill(shard_processes()[0].pid, signal.SIGKILL)
    report = await running
    assert report.answered == 2_000
    assert_each_row_once(lines(output), 2_000)
    assert sim.books()["total"]["requests"] <= 2_000 + 10
    assert not list(tmp_path.glob("*.part-*"))
