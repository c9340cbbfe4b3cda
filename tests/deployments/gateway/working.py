"""Somebody who does the jobs that tests submit: each in a process of its own, as warm workers start them."""

import asyncio
import os
import threading
from collections.abc import Coroutine, Generator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import httpx
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterState, FlowRunFilterStateType, FlowRunFilterTags
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Pending

from blocks.runs import JOB_TAG
from deployments.gateway.prefect_api import open_prefect
from deployments.warm import claims
from deployments.warm.preloaded import Preloaded, open_preloaded
from deployments.warm.starter import Prepared
from tests.conftest import ROOT
from tests.deployments.gateway.gateways import Gateway, start_gateway
from tests.deployments.gateway.submitting import ask

T = TypeVar("T")

PENDING = FlowRunFilter(
    tags=FlowRunFilterTags(all_=[JOB_TAG]),
    state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED])),
)


LONGEST_S = 240
"""A job that takes longer hangs, and must not hold up the tests."""

LOADED = ("flows.audio", "blocks.contracts.models")
"""As a warm worker has them by default, of the flows only those that the tests' jobs are of."""


class Forks:
    """A forkserver that has loaded the job flows, which takes longer than most jobs of the tests."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self._preloaded, self._listening = self._wait_for(self._open())

    def do(self, run: FlowRun, prepared: Prepared) -> None:
        """Do one job to its end."""

        async def forked() -> None:
            process = await self._preloaded.fork(prepared.start(run, {}))
            await process.ended.wait()

        self._wait_for(forked())

    def end(self) -> None:
        """End it."""

        async def ended() -> None:
            self._preloaded.close()
            await self._listening

        self._wait_for(ended())
        self._loop.call_soon_threadsafe(self._loop.stop)

    async def _open(self) -> "tuple[Preloaded, asyncio.Task[None]]":
        preloaded = await open_preloaded(LOADED, environment={**os.environ, "PYTHONPATH": str(ROOT)})
        assert not preloaded.ready.failed
        return preloaded, asyncio.create_task(preloaded.listen())

    def _wait_for(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(LONGEST_S)


@cache
def forks() -> Forks:
    """One for all jobs of this process's tests; `end_forks` ends it."""
    return Forks()


def end_forks() -> None:
    """End the forkserver, if there is one."""
    if forks.cache_info().currsize:
        forks().end()
        forks.cache_clear()


def run_job(prefect_url: str, run_id: str, store: Path, **settings: str) -> None:
    """Do one job to its end."""
    environment = {
        **os.environ,
        **settings,
        "PREFECT_API_URL": prefect_url,
        "PYTHONPATH": str(ROOT),
        "AUDIO_DIR": str(store),
        "LOG_DIR": str(store.parent / "logs"),
    }

    async def claimed(client: PrefectClient) -> tuple[FlowRun, str]:
        await client.set_flow_run_state(UUID(run_id), Pending(message=str(claims.mine())), force=True)
        run = await client.read_flow_run(UUID(run_id))
        assert run.deployment_id
        return run, (await client.read_deployment(run.deployment_id)).entrypoint or ""

    run, entrypoint = ask(prefect_url, claimed)
    forks().do(run, Prepared(environment={**environment}, folder=None, quiet=False, entrypoint=entrypoint))


@contextmanager
def working(prefect_url: str, store: Path) -> Generator[None]:
    """Do every job that is submitted within the block."""
    ended = threading.Event()

    async def work() -> None:
        with temporary_settings({PREFECT_API_URL: prefect_url}):
            async with open_prefect() as client:
                while not await asyncio.to_thread(ended.wait, 0.2):
                    for run in await client.read_flow_runs(flow_run_filter=PENDING):
                        await asyncio.to_thread(run_job, prefect_url, str(run.id), store)

    worker = threading.Thread(target=lambda: asyncio.run(work()))
    worker.start()
    try:
        yield
    finally:
        ended.set()
        worker.join()


@contextmanager
def stored_gateway(prefect_url: str, store: Path, **settings: str) -> Generator[Gateway]:
    """A gateway with a store that outlives a test."""
    paths = {"PYTHONPATH": str(ROOT), "AUDIO_DIR": str(store), "LOG_DIR": str(store.parent / "logs")}
    running = start_gateway(prefect_url, log=store.parent / "gateway.log", **paths, **settings)
    try:
        yield running
    finally:
        running.stop()


def process(client: httpx.Client, recording: Path, **fields: Any) -> str:
    """Submit a recording; the id of its task."""
    answer = client.post("/v1/process", data=fields, files={"file": (recording.name, recording.read_bytes())})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["task_id"])
