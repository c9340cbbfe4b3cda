"""A Prefect server that dies in the middle of a run: the run ends complete, and no slot stays taken."""

import asyncio
import json
import subprocess
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from uuid import UUID

import pytest
from prefect.client.orchestration import PrefectClient, get_client
from prefect.events.filters import EventFilter, EventNameFilter, EventOccurredFilter, EventResourceFilter
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Crashed
from prefect.types._datetime import now

from blocks.runs import read_run, submit_run
from blocks.runs.lost import HEARTBEAT
from deployments.server import migrated_template
from deployments.service.environment import RUN_ENVIRONMENT, SERVER_ENVIRONMENT
from flows.recovery import retry_crashed
from tests.fakes.deployed import deploy, start, state_of, until, until_ended
from tests.fakes.patient import GO, LEASE_S, REACHED, SLOT
from tests.fakes.prefect_server import KillableServer

TEXT = "We decided to approve the budget. Maria will call David on Friday."


@pytest.fixture
def server(running_prefect_server: str, tmp_path: Path) -> Iterator[KillableServer]:
    """A server of this test's own, as the service runs one."""
    killable = KillableServer(tmp_path / "server", migrated_template(), SERVER_ENVIRONMENT)
    killable.start()
    with temporary_settings({PREFECT_API_URL: killable.url}):
        yield killable
    killable.kill()


async def slots_taken(client: PrefectClient) -> int:
    return (await client.read_global_concurrency_limit_by_name(SLOT)).active_slots


async def begin(client: PrefectClient, **environment: str) -> tuple[UUID, "subprocess.Popen[bytes]"]:
    """A run that waits in the middle of its work."""
    await client.upsert_global_concurrency_limit_by_name(SLOT, limit=1)
    deployment = await deploy(client, "process-text", "tests.fakes.patient.process_text")
    run, _ = await submit_run(
        client,
        deployment=deployment,
        parameters={"text": TEXT},
        name="notes.txt",
        owner="anna",
        idempotency_key="one",
    )
    process = await start(client, run.run_id, Path("run.log"), **RUN_ENVIRONMENT | environment)

    async def reached() -> bool:
        return REACHED.exists()

    await until(reached)
    return run.run_id, process


def lease_renewed(server: KillableServer) -> bool:
    """Whether the slot's holder has renewed its lease: its client does not wait for a server it never reached."""
    for path in server.folder.glob("concurrency_leases/*-*.json"):
        lease = json.loads(path.read_text())
        lasts = datetime.fromisoformat(lease["expiration"]) - datetime.fromisoformat(lease["created_at"])
        if lasts.total_seconds() > LEASE_S + 0.01:
            return True
    return False


async def outlive(server: KillableServer, down_s: float, back_before_the_end: bool) -> None:
    async with get_client() as client:
        run_id, process = await begin(client)

    async def renewed() -> bool:
        return lease_renewed(server)

    await until(renewed)
    server.kill()
    if not back_before_the_end:
        GO.touch()
    await asyncio.sleep(down_s)  # how long it is away is the input here
    assert process.poll() is None, "the run waits for the server"
    server.start()
    came_back = now("UTC")
    async with get_client() as client:
        if back_before_the_end:
            await until(lambda: heard_since(client, run_id, came_back))
            GO.touch()
        assert await until_ended(process) == 0, Path("run.log").read_text()[-3000:]
        read = await read_run(client, run_id)
        assert (read.status, read.attempts) == ("COMPLETE", 1), await state_of(client, run_id)
        assert read.job_id is not None
        assert await slots_taken(client) == 0


async def heard_since(client: PrefectClient, run_id: object, since: object) -> bool:
    wanted = EventFilter(
        occurred=EventOccurredFilter.model_validate({"since": since}),
        event=EventNameFilter(name=[HEARTBEAT]),
        resource=EventResourceFilter(id=[f"prefect.flow-run.{run_id}"]),
    )
    return bool((await client.read_events(wanted, limit=1)).events)


async def test_a_run_outlives_its_server(server: KillableServer) -> None:
    await outlive(server, down_s=3, back_before_the_end=False)


@pytest.mark.soak
async def test_a_run_whose_server_is_away_for_too_long_crashes_and_is_run_again(server: KillableServer) -> None:
    async with get_client() as client:
        run_id, process = await begin(client, PREFECT_CLIENT_MAX_RETRIES="1")
    server.kill()
    GO.touch()
    assert await until_ended(process) != 0
    server.start()
    async with get_client() as client:
        assert (await read_run(client, run_id)).status == "PREPROCESSING"
        await client.set_flow_run_state(run_id, Crashed(message="as the worker says"))
        assert await retry_crashed(run_id) == {str(run_id): "retried"}
        assert (await client.read_flow_run(run_id)).state_name == "AwaitingRetry"


@pytest.mark.soak
@pytest.mark.parametrize("back_before_the_end", [False, True])
async def test_a_run_outlives_a_server_that_is_away_for_a_minute(
    server: KillableServer, back_before_the_end: bool
) -> None:
    await outlive(server, down_s=60, back_before_the_end=back_before_the_end)
