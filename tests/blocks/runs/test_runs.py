"""Jobs through Prefect's API: submitted once, read as they are, cancelled, counted."""

import asyncio
import os
import signal
import uuid
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect import task
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterName
from prefect.exceptions import PrefectHTTPStatusError
from prefect.states import AwaitingRetry, Cancelling, Completed, Crashed, Failed, Pending, Running

from blocks.errors import Conflict, EngineUnavailable, NotFound
from blocks.runs import JobRun, cancel_run, read_run, read_runs, service_rate, submit_run, waiting_by_owner
from blocks.runs.record import ERROR
from blocks.runs.submit import BULK
from blocks.store import open_store
from tests.fakes.deployed import deploy, start, until, until_ended

TEXT = "We decided to approve the budget. Maria will call David on Friday."


@pytest.fixture
async def deployment(client: PrefectClient) -> str:
    """A deployment of process-text."""
    return await deploy(client, "process-text", "flows.audio.process_text")


async def submit(client: PrefectClient, deployment: str, **given: Any) -> JobRun:
    """Submit a short text as somebody new."""
    chosen = {"parameters": {"text": TEXT}, "name": "notes.txt", "owner": uuid.uuid4().hex, "idempotency_key": None}
    chosen["idempotency_key"] = uuid.uuid4().hex
    run, _ = await submit_run(client, deployment=deployment, **(chosen | given))
    return run


async def crash(client: PrefectClient, run_id: UUID) -> None:
    await client.set_flow_run_state(run_id, Pending())
    await client.set_flow_run_state(run_id, Running())
    await client.set_flow_run_state(run_id, Crashed())


async def test_a_submitted_job_waits(client: PrefectClient, deployment: str) -> None:
    submitted = await submit(client, deployment, owner="anna", source_name="notes.txt", upload="uploads/1/notes.txt")
    read = await read_run(client, submitted.run_id)
    assert read == submitted
    assert (read.status, read.owner, read.source_name, read.upload) == (
        "PENDING",
        "anna",
        "notes.txt",
        "uploads/1/notes.txt",
    )
    assert not read.finished
    # Beside those that the deployment gives all its runs.
    assert set((await client.read_flow_run(read.run_id)).tags) >= {"c500-job", "key:anna"}


async def test_the_same_key_gives_the_same_run(client: PrefectClient, deployment: str) -> None:
    same = {"parameters": {"text": TEXT}, "name": "notes.txt", "owner": "anna", "idempotency_key": uuid.uuid4().hex}
    found = await asyncio.gather(*(submit_run(client, deployment=deployment, **same) for _ in range(10)))
    assert len({run.run_id for run, _ in found}) == 1
    assert [is_new for _, is_new in found].count(True) == 1


async def test_many_at_once_share_requests(
    client: PrefectClient, deployment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths: list[str] = []
    request = client.request

    async def counted(method: Any, path: Any, *args: Any, **options: Any) -> Any:
        paths.append(path)
        return await request(method, path, *args, **options)

    monkeypatch.setattr(client, "request", counted)
    names = [f"notes-{number}.txt" for number in range(30)]
    found = await asyncio.gather(*(submit(client, deployment, name=name) for name in names))
    assert [run.name for run in found] == names
    assert len({run.run_id for run in found}) == 30
    assert [path for path in paths if "create_flow_run" in path] == [BULK, BULK]


async def test_what_its_client_no_longer_waits_for_is_not_made(client: PrefectClient, deployment: str) -> None:
    """The first is on its way when the others are given up."""
    names = [f"{uuid.uuid4().hex}-{number}" for number in range(4)]
    first, *waiting = [asyncio.create_task(submit(client, deployment, name=name)) for name in names]
    await asyncio.sleep(0)
    for given_up in waiting[:2]:
        given_up.cancel()
    assert [(await one).name for one in (first, waiting[2])] == [names[0], names[3]]
    made = await client.read_flow_runs(flow_run_filter=FlowRunFilter(name=FlowRunFilterName(any_=names)))
    assert {run.name for run in made} == {names[0], names[3]}


async def test_one_that_cannot_be_made_fails_none_of_the_others(client: PrefectClient, deployment: str) -> None:
    broken = submit(client, deployment, parameters={"text": {"__prefect_kind": "json", "value": "{no json"}})
    whole = [submit(client, deployment, name=f"{number}") for number in range(3)]
    refused, *made = await asyncio.gather(broken, *whole, return_exceptions=True)
    assert isinstance(refused, PrefectHTTPStatusError)
    assert refused.response.status_code == 400
    assert [run.name for run in made if isinstance(run, JobRun)] == ["0", "1", "2"]


async def test_a_deployment_made_anew_is_found(client: PrefectClient, deployment: str) -> None:
    await submit(client, deployment)
    name = deployment.split("/")[1]
    old = await client.read_deployment_by_name(deployment)
    await client.delete_deployment(old.id)
    await client.create_deployment(old.flow_id, name, entrypoint="flows.audio.process_text")
    assert (await submit(client, deployment)).status == "PENDING"


async def test_a_deployment_that_does_not_exist_is_named(client: PrefectClient) -> None:
    with pytest.raises(EngineUnavailable, match="no-such/deployment"):
        await submit(client, "no-such/deployment")


async def test_a_deployment_that_went_away_is_named(client: PrefectClient, deployment: str) -> None:
    await submit(client, deployment)
    await client.delete_deployment((await client.read_deployment_by_name(deployment)).id)
    with pytest.raises(EngineUnavailable, match=deployment):
        await submit(client, deployment)


async def test_an_unknown_run_is_not_found(client: PrefectClient) -> None:
    with pytest.raises(NotFound):
        await read_run(client, uuid.uuid4())
    with pytest.raises(NotFound):
        await cancel_run(client, uuid.uuid4())
    assert await read_runs(client, [uuid.uuid4()]) == {}


async def test_a_job_that_ran_tells_its_job_id(client: PrefectClient, deployment: str, tmp_path: Path) -> None:
    submitted = await submit(client, deployment, source_name="notes.txt")
    assert await until_ended(await start(client, submitted.run_id, tmp_path / "run.log")) == 0
    read = await read_run(client, submitted.run_id)
    assert (read.status, read.attempts, read.name, read.finished) == ("COMPLETE", 1, "notes.txt", True)
    assert read.completed_at is not None
    assert open_store().exists(f"jobs/{read.job_id}/result.json")


async def test_a_running_job_tells_its_step(client: PrefectClient, tmp_path: Path) -> None:
    deployment = await deploy(client, "process-audio", "tests.fakes.stepping.process_audio")
    waits_in = tmp_path / "waits-in"
    run_id = (await submit(client, deployment, parameters={"waits_in": str(waits_in)})).run_id
    for step, status in (("transcribe", "PROCESSING_ASR"), ("detect-speech", "PREPROCESSING")):
        waits_in.write_text(step)
        process = await start(client, run_id, tmp_path / "run.log")

        async def shown(step: str = step) -> bool:
            read = await read_run(client, run_id)
            return (read.step, read.share) == (step, 0.4)

        await until(shown)
        assert (await read_run(client, run_id)).status == status  # that of this attempt, whatever the last one reached
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        await client.set_flow_run_state(run_id, Crashed())
        assert (await read_run(client, run_id)).step is None
        await client.set_flow_run_state(run_id, AwaitingRetry())
    assert (await read_run(client, run_id)).attempts == 2


async def test_the_steps_of_one_job_hide_those_of_no_other(
    client: PrefectClient, deployment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("blocks.runs.calls.PAGE", 4)
    steps = {(await begun(client, deployment)).run_id: steps for steps in (["transcribe"], ["decode"] * 4)}
    for run_id, names in steps.items():
        for number, name in enumerate(names):
            step = await client.create_task_run(a_step, run_id, f"{number}", name=f"{name}-0", state=Pending())
            await client.set_task_run_state(step.id, Running())
    found = await read_runs(client, steps)
    assert [found[run_id].status for run_id in steps] == ["PROCESSING_ASR", "PREPROCESSING"]


async def begun(client: PrefectClient, deployment: str) -> JobRun:
    """A run that is under way."""
    submitted = await submit(client, deployment)
    await client.set_flow_run_state(submitted.run_id, Pending())
    await client.set_flow_run_state(submitted.run_id, Running())
    return submitted


@task
async def a_step() -> None:
    """Never runs; its states are set by hand."""


async def test_a_job_that_failed_tells_why(client: PrefectClient, deployment: str, tmp_path: Path) -> None:
    submitted = await submit(client, deployment, parameters={"text": "  "})
    await until_ended(await start(client, submitted.run_id, tmp_path / "run.log"))
    read = await read_run(client, submitted.run_id)
    assert read.status == "FAILED"
    assert read.error is not None
    assert (read.error.code, read.error.message, read.error.fix) == ("BAD_INPUT", "the text is empty", "give some text")


async def test_a_failed_recording_tells_at_which_stage(client: PrefectClient, tmp_path: Path) -> None:
    deployment = await deploy(client, "process-audio", "flows.audio.process_audio")
    (tmp_path / "noise.wav").write_bytes(b"no audio at all")
    submitted = await submit(client, deployment, parameters={"source": str(tmp_path / "noise.wav")})
    await until_ended(await start(client, submitted.run_id, tmp_path / "run.log"))
    read = await read_run(client, submitted.run_id)
    assert read.name == "noise.wav"
    assert read.error is not None
    assert (read.error.code, read.error.stage) == ("AUDIO_DECODE_ERROR", "preprocessing")


async def test_a_run_that_failed_before_it_began_shows_what_prefect_says(
    client: PrefectClient, deployment: str
) -> None:
    submitted = await submit(client, deployment)
    await client.set_flow_run_state(submitted.run_id, Failed(message="the pool is gone"))
    error = (await read_run(client, submitted.run_id)).error
    assert error is not None
    assert (error.code, error.message) == ("INTERNAL_ERROR", "the pool is gone")


async def test_a_label_that_is_no_error_is_passed_over(client: PrefectClient, deployment: str) -> None:
    submitted = await submit(client, deployment)
    await client.update_flow_run_labels(submitted.run_id, {ERROR: "not JSON"})
    await client.set_flow_run_state(submitted.run_id, Failed(message="no"))
    error = (await read_run(client, submitted.run_id)).error
    assert error is not None
    assert error.code == "INTERNAL_ERROR"


async def test_a_waiting_job_is_cancelled_at_once(client: PrefectClient, deployment: str) -> None:
    submitted = await submit(client, deployment)
    cancelled = await cancel_run(client, submitted.run_id)
    assert cancelled.finished
    assert cancelled.error is not None
    assert cancelled.error.code == "CANCELLED"
    with pytest.raises(Conflict):
        await cancel_run(client, submitted.run_id)


async def test_a_job_that_waits_for_another_attempt_is_cancelled_at_once(
    client: PrefectClient, deployment: str
) -> None:
    submitted = await submit(client, deployment)
    await client.update_flow_run(submitted.run_id, infrastructure_pid="1")
    await crash(client, submitted.run_id)
    await client.set_flow_run_state(submitted.run_id, AwaitingRetry())
    assert (await read_run(client, submitted.run_id)).status == "PENDING"
    assert (await cancel_run(client, submitted.run_id)).finished


async def test_a_crashed_job_waits_and_can_be_cancelled(client: PrefectClient, deployment: str) -> None:
    submitted = await submit(client, deployment)
    await crash(client, submitted.run_id)
    assert (await read_run(client, submitted.run_id)).status == "PENDING"
    assert (await cancel_run(client, submitted.run_id)).finished


@pytest.mark.parametrize("begun", [False, True])
async def test_a_job_with_a_process_is_cancelling(client: PrefectClient, deployment: str, begun: bool) -> None:
    submitted = await submit(client, deployment)
    await client.set_flow_run_state(submitted.run_id, Pending())
    if begun:
        await client.set_flow_run_state(submitted.run_id, Running())
    assert not (await cancel_run(client, submitted.run_id)).finished
    assert (await client.read_flow_run(submitted.run_id)).state_type == Cancelling().type
    assert not (await cancel_run(client, submitted.run_id)).finished


async def test_a_finished_job_cannot_be_cancelled(client: PrefectClient, deployment: str) -> None:
    submitted = await submit(client, deployment)
    await client.set_flow_run_state(submitted.run_id, Completed())
    with pytest.raises(Conflict, match="completed"):
        await cancel_run(client, submitted.run_id)


async def test_waiting_jobs_are_counted_by_owner(client: PrefectClient, deployment: str) -> None:
    ours = await asyncio.gather(*(submit(client, deployment, owner="bert") for _ in range(3)))
    await submit(client, deployment, owner="clara")
    await client.set_flow_run_state(ours[0].run_id, Completed())
    waiting = await waiting_by_owner(client)
    assert (waiting["bert"], waiting["clara"]) == (2, 1)


async def test_more_jobs_than_a_page_are_counted(
    client: PrefectClient, deployment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("blocks.runs.queue.PAGE", 3)
    monkeypatch.setattr("blocks.runs.queue.OVERLAP", 1)
    monkeypatch.setattr("blocks.runs.calls.PAGE", 3)
    runs = [await submit(client, deployment, owner="dora") for _ in range(7)]
    assert (await waiting_by_owner(client))["dora"] == 7
    assert len(await read_runs(client, [run.run_id for run in runs])) == 7


async def test_the_service_rate_comes_from_finished_jobs(client: PrefectClient, deployment: str) -> None:
    for run in [await submit(client, deployment) for _ in range(3)]:
        await client.set_flow_run_state(run.run_id, Completed())
    rate = await service_rate(client)
    assert rate is not None
    assert rate > 0
