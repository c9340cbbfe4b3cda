"""The deployments of `prefect.yaml`, deployed to a real server from the repository as it is."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from prefect.client.orchestration import get_client
from prefect.flows import load_flow_from_entrypoint

from deployments.docs import ROOT


def prefect(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).parent / "prefect"), *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=180)


def test_all_deployments_are_made_from_a_clean_clone(prefect_api: str) -> None:
    deployed = prefect("deploy", "--all", "--no-prompt")
    assert deployed.returncode == 0, deployed.stdout + deployed.stderr

    async def names() -> set[str]:
        async with get_client() as client:
            return {deployment.name for deployment in await client.read_deployments()}

    assert {"process-audio", "process-text", "process-batch"} <= asyncio.run(names())


@pytest.mark.parametrize("name", ["process_audio", "process_text", "process_batch"])
def test_every_entrypoint_loads(name: str) -> None:
    flow = load_flow_from_entrypoint(f"flows.audio.{name}", use_placeholder_flow=False)
    assert flow.name == name.replace("_", "-")
