"""`prefect deploy --all` reads the same prefect.yaml, and `c500 up` lives with what it made."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from prefect.client.orchestration import PrefectClient

from deployments.service.definitions import apply_definitions
from deployments.service.prefect_file import definitions
from tests.service import ROOT, Service


def deploy_all(service: Service) -> "subprocess.CompletedProcess[str]":
    """What a user of plain Prefect does, in the repository."""
    known = {"PREFECT_API_URL": service.api_url, "PREFECT_API_AUTH_STRING": service.auth}
    command = [str(Path(sys.executable).parent / "prefect"), "deploy", "--all", "--no-prompt"]
    return subprocess.run(
        command, cwd=ROOT, env=service.environment | known, capture_output=True, text=True, timeout=300
    )


@pytest.mark.soak
async def test_prefect_deploys_them_all_from_the_repository(service: Service, service_client: PrefectClient) -> None:
    run = await asyncio.to_thread(deploy_all, service)
    assert run.returncode == 0, run.stdout + run.stderr

    found = {one.name: one for one in await service_client.read_deployments()}
    assert found.keys() >= {one.name for one in definitions(0)}
    for definition in definitions(0):
        made = found[definition.name]
        assert (made.entrypoint, made.work_pool_name) == (definition.entrypoint, definition.work_pool.name)
        assert {one.slug for one in made.schedules} == {one.slug for one in definition.schedules}

    await apply_definitions(service_client, 0)
    kept = await service_client.read_deployments()
    assert {one.name: one.id for one in kept} == {name: one.id for name, one in found.items()}
