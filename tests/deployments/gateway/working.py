"""Somebody who does the jobs that tests submit: each in a process of its own, as Prefect's workers start them."""

import os
import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterState, FlowRunFilterStateType, FlowRunFilterTags
from prefect.client.schemas.objects import StateType

from blocks.runs import JOB_TAG
from tests.conftest import ROOT
from tests.deployments.gateway.gateways import Gateway, start_gateway
from tests.deployments.gateway.submitting import ask

PENDING = FlowRunFilter(
    tags=FlowRunFilterTags(all_=[JOB_TAG]),
    state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED])),
)


LONGEST_S = 240
"""A job that takes longer hangs, and must not hold up the tests."""


def run_job(prefect_url: str, run_id: str, store: Path, **settings: str) -> None:
    """Do one job to its end."""
    environment = {
        **settings,
        "PREFECT__FLOW_RUN_ID": run_id,
        "PREFECT_API_URL": prefect_url,
        "PYTHONPATH": str(ROOT),
        "AUDIO_DIR": str(store),
        "LOG_DIR": str(store.parent / "logs"),
    }
    command = [sys.executable, "-m", "prefect.engine"]
    subprocess.run(command, env={**os.environ, **environment}, check=False, timeout=LONGEST_S)


@contextmanager
def working(prefect_url: str, store: Path) -> Generator[None]:
    """Do every job that is submitted within the block."""
    ended = threading.Event()

    async def waiting(client: PrefectClient) -> list[Any]:
        return await client.read_flow_runs(flow_run_filter=PENDING)

    def work() -> None:
        while not ended.wait(0.2):
            for run in ask(prefect_url, waiting):
                run_job(prefect_url, str(run.id), store)

    worker = threading.Thread(target=work)
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
