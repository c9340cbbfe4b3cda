"""The deployments of `prefect.yaml`, deployed to a real server from the repository as it is, and run."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from prefect.client.orchestration import get_client
from prefect.deployments import run_deployment
from prefect.flows import load_flow_from_entrypoint

from blocks.store import open_store
from deployments.docs import ROOT


def prefect(*arguments: str) -> None:
    command = [str(Path(sys.executable).parent / "prefect"), *arguments]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.fixture
def deployed(prefect_api: str) -> None:
    """What `make deploy` does."""
    prefect("work-pool", "create", "cpu", "--type", "process", "--overwrite")
    prefect("deploy", "--all", "--no-prompt")


def test_a_deployed_job_runs_on_a_worker(deployed: None) -> None:
    async def schedule() -> set[str]:
        text = "We decided to approve the budget. Maria will call David on Friday."
        await run_deployment("process-text/process-text", parameters={"text": text}, timeout=0)
        async with get_client() as client:
            return {deployment.name for deployment in await client.read_deployments()}

    assert {"process-audio", "process-text", "process-batch"} <= asyncio.run(schedule())
    prefect("worker", "start", "--pool", "cpu", "--run-once")
    assert [key for key in open_store().list("jobs/") if key.endswith("/result.json")]


@pytest.mark.parametrize("name", ["process_audio", "process_text", "process_batch"])
def test_every_entrypoint_loads(name: str) -> None:
    flow = load_flow_from_entrypoint(f"flows.audio.{name}", use_placeholder_flow=False)
    assert flow.name == name.replace("_", "-")
