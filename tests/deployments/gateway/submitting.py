"""What tests of submissions share: deployments that nobody works for, their runs, and recordings to submit."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import httpx
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterTags
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Completed, Failed, Running

from blocks.runs import JOB_TAG, submit_run
from blocks.store import LocalFiles
from deployments.gateway.prefect_api import open_prefect
from flows import process_audio, process_text

T = TypeVar("T")
DEPTH = 50


def ask(url: str, question: Callable[[PrefectClient], Awaitable[T]]) -> T:
    """Ask the Prefect server at that address."""

    async def answer() -> T:
        with temporary_settings({PREFECT_API_URL: url}):
            async with open_prefect() as client:
                return await question(client)

    return asyncio.run(answer())


async def deploy(client: PrefectClient) -> None:
    """The job flows as deployments in the pool `cpu`, which nobody serves."""
    pools = {pool.name for pool in await client.read_work_pools()}
    if "cpu" not in pools:
        await client.create_work_pool(WorkPoolCreate(name="cpu", type="process"))
    for flow in (process_audio, process_text):
        made = await flow.ato_deployment(flow.name, work_pool_name="cpu")
        made.entrypoint = f"{flow.fn.__module__}.{flow.fn.__name__}"
        await made.aapply()


async def job_runs(client: PrefectClient) -> list[Any]:
    """All runs of jobs."""
    wanted = FlowRunFilter(tags=FlowRunFilterTags(all_=[JOB_TAG]))
    runs: list[Any] = []
    while page := await client.read_flow_runs(flow_run_filter=wanted, offset=len(runs)):
        runs += page
    return runs


async def fill(client: PrefectClient, owner: str, jobs: int) -> None:
    """Submit so many jobs of an owner; those there are already count."""
    for number in range(jobs):
        await submit_run(
            client,
            deployment="process-audio/process-audio",
            parameters={"source": "store://x"},
            name="x",
            owner=owner,
            idempotency_key=f"{owner}-{number}",
        )


async def clear(client: PrefectClient) -> None:
    """Remove the runs of all jobs."""
    for run in await job_runs(client):
        await client.delete_flow_run(run.id)


def ended(url: str, run_id: str, *, well: bool) -> None:
    """Let a run end, as a worker would."""
    state = Completed() if well else Failed()
    ask(url, lambda client: client.set_flow_run_state(UUID(run_id), state, force=True))


def running(url: str, run_id: str) -> None:
    """Let a run begin, as a worker would."""
    ask(url, lambda client: client.set_flow_run_state(UUID(run_id), Running(), force=True))


def leftovers(store: Path) -> list[str]:
    """Partial files in the store."""
    return [path.name for path in (store / ".scratch").glob("*")]


def uploads(store: Path) -> list[str]:
    """Keys of the uploads in the store."""
    return list(LocalFiles(store).list("uploads/"))


RECORDING = b"RIFF$\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00\x80>\x00\x00\x00}\x00\x00\x02\x00\x10\x00data"


def recording(seed: str = "") -> bytes:
    """A short WAV, another for every seed."""
    return RECORDING + b"\x08\x00\x00\x00" + seed.encode().ljust(8)[:8]


def submit(client: httpx.Client, content: bytes | None = None, name: str = "call.wav", **fields: Any) -> httpx.Response:
    """Submit a recording as clients do; raw transcript unless the fields say otherwise."""
    data = {"features": "raw_transcript", **fields}
    files = {"file": (name, recording() if content is None else content, "audio/wav")}
    headers = data.pop("headers", {})
    return client.post("/v1/process", data=data, files=files, headers=headers)
