"""Flows deployed to a real server, and their runs as processes started the way a worker starts them."""

import asyncio
import os
import subprocess
import sys
import uuid
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import State
from prefect.exceptions import ObjectAlreadyExists
from prefect.states import Pending

POOL = "test-pool"
DEADLINE_S = 200


async def deploy(client: PrefectClient, flow: str, entrypoint: str, pool: str = POOL) -> str:
    """Deploy a flow under a name that nobody else uses; returns `flow/deployment`."""
    with suppress(ObjectAlreadyExists):
        await client.create_work_pool(WorkPoolCreate(name=pool, type="process"))
    name = f"{flow}-{uuid.uuid4().hex[:8]}"
    flow_id = await client.create_flow_from_name(flow)
    await client.create_deployment(flow_id, name, entrypoint=entrypoint, work_pool_name=pool)
    return f"{flow}/{name}"


async def start(client: PrefectClient, run_id: UUID, log: Path, **environment: str) -> "subprocess.Popen[bytes]":
    """Do what a worker does: make the run Pending, and start its process in a group of its own."""
    await client.set_flow_run_state(run_id, Pending())
    told = {"PREFECT__FLOW_RUN_ID": str(run_id), "PREFECT_API_URL": str(client.api_url)}
    with log.open("ab") as output:
        process = subprocess.Popen(  # noqa: ASYNC220 - it only begins
            [sys.executable, "-m", "prefect.engine"],
            env=os.environ | told | environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    await client.update_flow_run(run_id, infrastructure_pid=str(process.pid))
    return process


async def until(happened: Callable[[], Awaitable[object]], seconds: float = DEADLINE_S) -> None:
    """Wait for a condition of another process."""
    async with asyncio.timeout(seconds):
        while not await happened():  # noqa: ASYNC110 - other processes cannot set an event
            await asyncio.sleep(0.1)


async def until_ended(process: "subprocess.Popen[bytes]") -> int:
    """Its exit code."""

    async def ended() -> bool:
        return process.poll() is not None

    await until(ended)
    return process.returncode


async def state_of(client: PrefectClient, run_id: UUID) -> State:
    """The run's state."""
    state = (await client.read_flow_run(run_id)).state
    assert state is not None
    return state
