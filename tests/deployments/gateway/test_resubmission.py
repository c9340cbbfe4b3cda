"""What makes a submission the same as one before, and what becomes of repeats."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import WorkPoolCreate

from blocks.job import JobOptions, JobResult, Metrics, Status, Versions
from blocks.runs.record import JOB_ID
from blocks.store import LocalFiles
from deployments.gateway.intake import destinations
from deployments.gateway.intake.destinations import destination
from flows import process_audio
from tests.deployments.gateway.gateways import Gateway
from tests.deployments.gateway.submitting import DEPTH, ask, ended, fill, recording, running, submit

SCHEMA = {"type": "object", "properties": {"title": {"type": "string"}}}


@pytest.fixture
def template(submitting: Gateway) -> Iterator[str]:
    """A template of the store."""
    name = f"t{uuid4().hex[:8]}"
    with submitting.client() as client:
        body = {"id": name, "schema_data": SCHEMA, "prompt_template": "{{ transcript }}", "example": {"title": "x"}}
        assert client.post("/v1/templates", json=body).is_success
        yield name
        client.delete(f"/v1/templates/{name}")


def test_an_overlong_template_is_one_that_does_not_exist(submitting: Gateway) -> None:
    with submitting.client() as client:
        for name in ("t" * 65, "t" * 300):
            assert client.get(f"/v1/templates/{name}").status_code == 404
            refused = submit(client, features="summary", template_id=name)
            assert (refused.status_code, refused.json()["error"]["details"]["field"]) == (422, "template_id")


def test_a_changed_template_is_another_job(submitting: Gateway, template: str) -> None:
    def submitted(**headers: str) -> str:
        return submit(client, features="summary", template_id=template, headers=headers).json()["task_id"]

    with submitting.client() as client:
        first, keyed = submitted(), submitted(**{"Idempotency-Key": template})
        assert submitted() == first
        changed = {"prompt_template": "In short: {{ transcript }}"}
        assert client.put(f"/v1/templates/{template}", json=changed).is_success
        assert submitted() != first
        assert submitted(**{"Idempotency-Key": template}) == keyed


def finish(url: str, store: Path, run_id: str, status: Status) -> None:
    """Let a run end with a result."""
    job_id = uuid4().hex[:16]
    result = JobResult(
        job_id=job_id,
        status=status,
        source_name="call.wav",
        options=JobOptions(),
        metrics=Metrics(input_duration_s=1, processing_time_s=1),
        versions=Versions(pipeline="1"),
        finished_at=datetime.now(UTC),
    )
    LocalFiles(store).put_bytes(f"jobs/{job_id}/result.json", result.model_dump_json().encode())
    ask(url, lambda client: client.update_flow_run_labels(UUID(run_id), {JOB_ID: job_id}))
    ended(url, run_id, well=True)


def test_a_partial_result_is_made_again(submitting: Gateway, deployed: str, store_path: Path) -> None:
    with submitting.client() as client:
        first = submit(client).json()["task_id"]
        finish(deployed, store_path, first, "partial")
        second = submit(client).json()["task_id"]
        assert second != first
        assert submit(client).json()["task_id"] == second
        finish(deployed, store_path, second, "complete")
        assert submit(client).json() == {"task_id": second, "status": "COMPLETE"}


def counted(client: Any) -> float:
    lines = client.get("/metrics").text.splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith("c500_job_submissions_total{"))


def test_repeats_count_once(submitting: Gateway) -> None:
    with submitting.client() as client:
        before = counted(client)
        for _ in range(3):
            submit(client)
        assert counted(client) == before + 1


def test_a_repeat_with_a_key_needs_no_place(submitting: Gateway, deployed: str) -> None:
    with submitting.client() as client:
        first = submit(client, headers={"Idempotency-Key": "mine"}).json()
        ask(deployed, lambda prefect: fill(prefect, "static", DEPTH))
        assert submit(client, recording("new"), headers={"Idempotency-Key": "other"}).status_code == 429
        assert submit(client, headers={"Idempotency-Key": "mine"}).json() == first


async def with_gpus(client: PrefectClient) -> None:
    for number in range(3):
        await client.create_work_pool(WorkPoolCreate(name=f"gpu-{number}", type="process"))
        made = await process_audio.ato_deployment(f"process-audio-gpu-{number}", work_pool_name=f"gpu-{number}")
        made.entrypoint = "flows.audio.process_audio"
        await made.aapply()
    for number in (0, 1):
        await client.send_worker_heartbeat(f"gpu-{number}", "a worker")


async def without_gpus(client: PrefectClient) -> None:
    for number in range(3):
        found = await client.read_deployment_by_name(f"process-audio/process-audio-gpu-{number}")
        await client.delete_deployment(found.id)
        await client.delete_work_pool(f"gpu-{number}")


@pytest.fixture
def gpus(deployed: str) -> Iterator[None]:
    """Three GPUs; the last has no worker."""
    ask(deployed, with_gpus)
    yield
    ask(deployed, without_gpus)


@pytest.mark.usefixtures("gpus")
def test_a_job_goes_to_the_gpu_that_idles_and_has_a_worker(deployed: str) -> None:
    async def chosen(client: PrefectClient) -> str:
        destinations._known.clear()
        return (await destination(client, "process-audio")).deployment

    async def busy(client: PrefectClient) -> str:
        found = await client.read_deployment_by_name("process-audio/process-audio-gpu-0")
        return str((await client.create_flow_run_from_deployment(found.id, parameters={"source": "x"})).id)

    running(deployed, ask(deployed, busy))
    assert ask(deployed, chosen) == "process-audio/process-audio-gpu-1"
