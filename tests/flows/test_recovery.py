"""Jobs whose process is killed go on, or are given up; nothing is started twice, no upload is left or lost."""

import asyncio
import os
import signal
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
from prefect.client.schemas.objects import FlowRun
from prefect.events import emit_event
from prefect.events.filters import EventFilter, EventNameFilter, EventResourceFilter
from prefect.events.worker import EventsWorker
from prefect.states import Cancelled, Completed, Crashed, Failed, Pending, Running

from blocks.runs import JobRun, read_run, submit_run
from blocks.runs.lost import HEARTBEAT, is_lost, last_heartbeat, lost_runs
from blocks.settings import settings
from blocks.store import open_store
from blocks.subjects import Hold, Holds, Subject
from flows.recovery import recover_runs, retry_crashed, sweep_uploads
from tasks.jobs.dead_letter import DEAD_LETTER
from tests.fakes.deployed import deploy, start, until, until_ended
from tests.fakes.killed import begun
from tests.fakes.patient import GO, REACHED, SLOT

TEXT = "We decided to approve the budget. Maria will call David on Friday."

Choose = Callable[..., None]


@pytest.fixture
async def client(prefect_api: str) -> AsyncIterator[PrefectClient]:
    """A client of the session's server."""
    async with get_client() as opened:
        yield opened


@pytest.fixture
def choose(monkeypatch: pytest.MonkeyPatch) -> Choose:
    """Change settings."""

    def change(**variables: object) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, str(value))
        settings.cache_clear()

    return change


@pytest.fixture
async def killed(client: PrefectClient) -> str:
    """A deployment whose process kills itself at a step."""
    return await deploy(client, "process-text", "tests.fakes.killed.process_text")


async def submit(client: PrefectClient, deployment: str, upload: str | None = None, **parameters: Any) -> JobRun:
    parameters = {"text": TEXT} | parameters
    run, _ = await submit_run(
        client,
        deployment=deployment,
        parameters=parameters,
        name="notes.txt",
        owner="anna",
        idempotency_key=uuid.uuid4().hex,
        upload=upload,
    )
    return run


async def attempt(client: PrefectClient, run_id: UUID) -> int:
    """One attempt as a worker makes it, up to telling that the process was killed; returns the exit code."""
    code = await until_ended(await start(client, run_id, Path("run.log")))
    if code == -signal.SIGKILL:
        await client.set_flow_run_state(run_id, Crashed(message="Flow run process exited with SIGKILL."))
    return code


async def states(client: PrefectClient, run_id: UUID) -> "Counter[str]":
    return Counter(state.name for state in await client.read_flow_run_states(run_id))


async def test_a_killed_job_goes_on_where_it_stopped(client: PrefectClient, killed: str) -> None:
    run_id = (await submit(client, killed)).run_id
    assert await attempt(client, run_id) == -signal.SIGKILL
    assert await retry_crashed(run_id) == {str(run_id): "retried"}
    assert (await read_run(client, run_id)).status == "PENDING"
    assert await attempt(client, run_id) == 0
    read = await read_run(client, run_id)
    assert (read.status, read.attempts, read.error) == ("COMPLETE", 2, None)
    steps = Counter(begun())
    assert steps["read-text"] == steps["enhance"] == 1, "a finished step is not computed again"
    assert steps["summarise"] == 2


async def test_one_crash_is_one_retry_however_many_try(client: PrefectClient, killed: str) -> None:
    run_id = (await submit(client, killed)).run_id
    await client.set_flow_run_state(run_id, Pending())
    await client.set_flow_run_state(run_id, Crashed())
    done = await asyncio.gather(*(retry_crashed(run_id) for _ in range(5)), recover_runs())
    assert [one.get(str(run_id)) for one in done].count("retried") == 1
    assert (await states(client, run_id))["AwaitingRetry"] == 1
    assert await retry_crashed(run_id) == {str(run_id): "left alone"}


async def test_a_job_that_kills_its_process_each_time_is_given_up(
    client: PrefectClient, killed: str, choose: Choose
) -> None:
    choose(MAX_CRASH_RETRIES=1, CRASH_RETRY_DELAY_S=0)
    run_id = (await submit(client, killed, kills=100)).run_id
    for outcome in ("retried", "given up", "left alone"):
        if not (await read_run(client, run_id)).finished:
            assert await attempt(client, run_id) == -signal.SIGKILL
        assert await retry_crashed(run_id) == {str(run_id): outcome}
    read = await read_run(client, run_id)
    assert read.status == "FAILED"
    assert read.error is not None
    assert (read.error.code, read.error.message) == ("CRASHED", "the process of the job died 2 times")
    wanted = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run_id]))
    letters = [a for a in await client.read_artifacts(artifact_filter=wanted) if a.key == f"dead-letter-{run_id}"]
    assert len(letters) == 1
    assert "What to do" in str(letters[0].data)
    assert len(await events(client, DEAD_LETTER, run_id)) == 1


async def events(client: PrefectClient, name: str, run_id: UUID) -> list[Any]:
    await asyncio.to_thread(EventsWorker.drain_all)
    wanted = EventFilter(
        event=EventNameFilter(name=[name]), resource=EventResourceFilter(id=[f"prefect.flow-run.{run_id}"])
    )
    found: list[Any] = []

    async def stored() -> bool:
        found[:] = (await client.read_events(wanted, limit=10)).events
        return bool(found)

    await until(stored)
    return found


async def test_a_job_that_was_given_up_can_be_retried_by_hand(client: PrefectClient, killed: str) -> None:
    run_id = (await submit(client, killed)).run_id
    for _ in range(4):
        await client.set_flow_run_state(run_id, Crashed(), force=True)
        await client.set_flow_run_state(run_id, Running(), force=True)
    await client.set_flow_run_state(run_id, Failed())
    await client.set_flow_run_state(run_id, Crashed(), force=True)
    assert await retry_crashed(run_id) == {str(run_id): "retried"}


async def test_later_attempts_wait_longer(client: PrefectClient, killed: str, choose: Choose) -> None:
    choose(CRASH_RETRY_DELAY_S=1000)
    run_id = (await submit(client, killed)).run_id
    waits: list[float] = []
    for _ in range(3):
        await client.set_flow_run_state(run_id, Crashed(), force=True)
        await retry_crashed(run_id)
        state = (await client.read_flow_run(run_id)).state
        assert state is not None
        assert state.state_details.scheduled_time is not None
        waits.append(round((state.state_details.scheduled_time - state.timestamp).total_seconds(), -2))
    assert waits == [0, 1000, 2000]


async def test_a_run_that_a_dead_worker_took_is_queued_again(
    client: PrefectClient, killed: str, choose: Choose
) -> None:
    run_id = (await submit(client, killed)).run_id
    await client.set_flow_run_state(run_id, Pending())
    assert str(run_id) not in await recover_runs()
    choose(PENDING_TIMEOUT_S=1)

    async def queued() -> bool:
        return (await recover_runs()).get(str(run_id)) == "retried"

    await until(queued)
    read = await read_run(client, run_id)
    assert (read.status, read.attempts) == ("PENDING", 0)


async def test_a_run_that_is_never_started_is_given_up(client: PrefectClient, killed: str, choose: Choose) -> None:
    choose(PENDING_TIMEOUT_S=1, MAX_CRASH_RETRIES=1)
    run_id = (await submit(client, killed)).run_id
    for outcome in ("retried", "given up"):
        await client.set_flow_run_state(run_id, Pending())

        async def found(outcome: str = outcome) -> bool:
            return (await recover_runs()).get(str(run_id)) == outcome

        await until(found)
    read = await read_run(client, run_id)
    assert (read.status, read.error and read.error.code) == ("FAILED", "CRASHED")


async def test_a_process_taken_for_dead_leaves_the_run_complete_when_it_fails(client: PrefectClient) -> None:
    await client.upsert_global_concurrency_limit_by_name(SLOT, limit=1)
    deployment = await deploy(client, "process-text", "tests.fakes.patient.process_text")
    run_id = (await submit(client, deployment, text="")).run_id  # it will fail
    process = await start(client, run_id, Path("run.log"))

    async def reached() -> bool:
        return REACHED.exists()

    await until(reached)
    await client.set_flow_run_state(run_id, Completed(), force=True)  # by its successor
    GO.touch()
    await until_ended(process)
    read = await read_run(client, run_id)
    assert (read.status, read.error) == ("COMPLETE", None), Path("run.log").read_text()[-3000:]


async def test_every_lost_run_is_found(client: PrefectClient, killed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("blocks.runs.queue.PAGE", 3)
    monkeypatch.setattr("blocks.runs.queue.OVERLAP", 1)
    ids = {(await submit(client, killed)).run_id for _ in range(6)}
    for run_id in ids:
        await client.set_flow_run_state(run_id, Crashed(), force=True)
    assert ids <= {run.id for run in await lost_runs(client)}


async def running(client: PrefectClient, deployment: str) -> UUID:
    run_id = (await submit(client, deployment)).run_id
    await client.set_flow_run_state(run_id, Pending())
    await client.set_flow_run_state(run_id, Running())
    return run_id


async def test_a_silent_run_is_found_even_when_no_heartbeat_ever_came(
    client: PrefectClient, killed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = await running(client, killed)
    assert str(run_id) not in await recover_runs()
    monkeypatch.setattr("blocks.runs.lost.SILENCES", 0.01)  # 0.3 s

    async def found() -> bool:
        return (await recover_runs()).get(str(run_id)) == "retried"

    await until(found)
    assert (await states(client, run_id))["Crashed"] == 1


async def test_a_run_that_sends_heartbeats_is_not_lost(client: PrefectClient, killed: str) -> None:
    alive, silent = [await long_ago(client, await running(client, killed)) for _ in range(2)]
    emit_event(HEARTBEAT, resource={"prefect.resource.id": f"prefect.flow-run.{alive.id}"})
    await events(client, HEARTBEAT, alive.id)
    assert not is_lost(alive, await last_heartbeat(client, alive))
    assert is_lost(silent, await last_heartbeat(client, silent))


async def long_ago(client: PrefectClient, run_id: UUID) -> FlowRun:
    """The run as if it had begun an hour ago."""
    run = await client.read_flow_run(run_id)
    assert run.state is not None
    began = run.state.model_copy(update={"timestamp": run.state.timestamp - timedelta(hours=1)})
    return run.model_copy(update={"state": began})


async def test_what_is_no_job_is_left_alone(client: PrefectClient) -> None:
    other = await deploy(client, "somebody-elses", "tests.fakes.killed.process_text")
    flow_run = await client.create_flow_run_from_deployment((await client.read_deployment_by_name(other)).id)
    await client.set_flow_run_state(flow_run.id, Crashed(), force=True)
    assert await retry_crashed(flow_run.id) == {str(flow_run.id): "left alone"}
    unknown = uuid.uuid4()
    assert await retry_crashed(unknown) == {str(unknown): "left alone"}


async def test_uploads_go_with_their_job_and_without_one(client: PrefectClient, killed: str) -> None:
    ends = {
        "waiting": None,
        "crashed": Crashed(),
        "failed": Failed(),
        "complete": Completed(),
        "cancelled": Cancelled(),
    }
    for name, end in ends.items():
        run = await submit(client, killed, upload=upload(name, age_s=7200))
        if end is not None:
            await client.set_flow_run_state(run.run_id, end, force=True)
    upload("orphan", age_s=7200)
    upload("just arrived", age_s=60)
    open_store().put_bytes("jobs/1/result.json", b"{}")
    removed = await sweep_uploads()
    assert {key.split("/")[1] for key in removed} == {"complete", "cancelled", "orphan"}
    assert {key.split("/")[1] for key in open_store().list("uploads/")} == {
        "waiting",
        "crashed",
        "failed",
        "just arrived",
    }
    assert open_store().exists("jobs/1/result.json")
    assert await sweep_uploads() == []


async def test_an_upload_on_legal_hold_stays(client: PrefectClient, killed: str) -> None:
    run = await submit(client, killed, upload=upload("held", age_s=7200))
    await client.set_flow_run_state(run.run_id, Cancelled(), force=True)
    subject = Subject(kind="job", id=str(run.run_id))
    Holds(open_store()).put(Hold(subject=subject, reason="case 7", by="ops", at=datetime.now(UTC)))
    assert await sweep_uploads() == []
    Holds(open_store()).release(subject)
    assert len(await sweep_uploads()) == 1


def upload(name: str, age_s: float) -> str:
    key = f"uploads/{name}/notes.txt"
    open_store().put_bytes(key, b"text")
    written = time.time() - age_s
    os.utime(open_store().uri(key).removeprefix("file://").replace("%20", " "), (written, written))
    return key
