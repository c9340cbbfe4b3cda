"""Accepted uploads per second at 20 clients, a bare handler that only stores the file over ours."""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psutil

from blocks.runs import JOB_TAG
from deployments.docs import ROOT
from deployments.server import TUNING, temporary_server
from tests.deployments.gateway.gateways import Gateway, start_gateway
from tests.deployments.gateway.submitting import RECORDING, ask, deploy
from tests.processes import free_port, until

NAME = "uploads"
UNIT = "x slower"
GOAL = 2.0

CLIENTS = 20
RUNS = 100
SECONDS = {True: 8, False: 20}
ROUNDS = {True: 2, False: 3}
WAV = RECORDING
MEGABYTE = 1_000_000

BARE = """
from dataclasses import dataclass
from typing import Annotated
from uuid import uuid4
import os, anyio, uvicorn
from litestar import Litestar, post
from litestar.datastructures import UploadFile
from litestar.enums import RequestEncodingType
from litestar.params import Body

@dataclass
class Form:
    file: UploadFile
    features: str

@post("/v1/process", status_code=202)
async def store(data: Annotated[Form, Body(media_type=RequestEncodingType.MULTI_PART)]) -> dict[str, str]:
    name = uuid4().hex
    await anyio.Path(os.environ["AUDIO_DIR"], name).write_bytes(await data.file.read())
    return {"task_id": name, "status": "PENDING"}


uvicorn.run(Litestar([store], request_max_body_size=None), port=int(os.environ["API_PORT"]), http="h11",
            log_level="error", access_log=False)
"""


@dataclass
class Round:
    """What one server did in one round."""

    per_s: float
    p95_ms: float
    cpu_ms: float

    def __str__(self) -> str:
        return f"{self.per_s:7.1f}/s  p95 {self.p95_ms:6.0f} ms  CPU {self.cpu_ms:5.1f} ms a request"


def measure(quick: bool) -> float:
    """Bare rate / our rate, the median of rounds that take turns."""
    os.environ.update(TUNING | {"PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL", "PYTHONPATH": str(ROOT)})
    with tempfile.TemporaryDirectory() as folder, temporary_server() as url:
        ask(url, deploy)
        print(f"Prefect's server by itself makes {asyncio.run(server_rates(url))}", flush=True)
        ratios: list[float] = []
        with bare(Path(folder)) as simple, gateway(url, Path(folder)) as ours:
            for _ in range(ROUNDS[quick]):
                plain, full = once(simple, SECONDS[quick]), once(ours, SECONDS[quick])
                print(f"bare {plain}\nours {full}", flush=True)
                ratios.append(plain.per_s / full.per_s)
    return sorted(ratios)[len(ratios) // 2]


@contextmanager
def bare(folder: Path) -> Iterator[Gateway]:
    """A Litestar application that stores files, on the same server software."""
    (folder / "bare").mkdir()
    port = free_port()
    environment = {**os.environ, "AUDIO_DIR": str(folder / "bare"), "API_PORT": str(port)}
    process = subprocess.Popen([sys.executable, "-c", BARE], env=environment)
    running = Gateway(f"http://127.0.0.1:{port}", "none", process)
    until(lambda: answers(running.url), 60)
    try:
        yield running
    finally:
        running.stop()


@contextmanager
def gateway(url: str, folder: Path) -> Iterator[Gateway]:
    """Ours, with a queue that takes all."""
    running = start_gateway(url, log=folder / "log", AUDIO_DIR=str(folder / "ours"), MAX_QUEUE_DEPTH="100000")
    try:
        yield running
    finally:
        running.stop()


def once(server: Gateway, seconds: int) -> Round:
    """Clients that upload one file after another, in a process of their own."""
    process = psutil.Process(server.process.pid)
    asyncio.run(load(server, 2))  # everything is loaded
    before = sum(process.cpu_times()[:2])
    began = time.perf_counter()
    times = asyncio.run(load(server, seconds))
    wall_s = time.perf_counter() - began
    cpu_s = sum(process.cpu_times()[:2]) - before
    return Round(len(times) / wall_s, 1000 * sorted(times)[int(len(times) * 0.95)], 1000 * cpu_s / len(times))


async def load(server: Gateway, seconds: int) -> list[float]:
    """Seconds that each accepted upload took."""
    times: list[float] = []
    end = time.perf_counter() + seconds

    async def one(client: httpx.AsyncClient) -> None:
        while (began := time.perf_counter()) < end:
            answer = await client.post("/v1/process", content=form(os.urandom(16)), headers=headers)
            assert answer.status_code in (201, 202), answer.text
            times.append(time.perf_counter() - began)

    headers = {"X-API-Key": server.secret, "Content-Type": "multipart/form-data; boundary=b"}
    clients = [httpx.AsyncClient(base_url=server.url, timeout=120, trust_env=False) for _ in range(CLIENTS)]
    await asyncio.gather(*(one(client) for client in clients))
    for client in clients:
        await client.aclose()
    return times


async def server_rates(url: str) -> str:
    """Runs that the Prefect server makes in a second: one by one, asked by all clients at once, many a request."""
    async with httpx.AsyncClient(base_url=url, timeout=120, trust_env=False) as client:
        deployment = (await client.get("/deployments/name/process-text/process-text")).json()["id"]
        path = f"/deployments/{deployment}/create_flow_run"

        async def make(wanted: Any, path: str = path) -> None:
            (await client.post(path, json=wanted)).raise_for_status()

        await make(run())
        began = [time.perf_counter()]
        for _ in range(RUNS):
            await make(run())
        began.append(time.perf_counter())
        for _ in range(RUNS // CLIENTS):
            await asyncio.gather(*(make(run()) for _ in range(CLIENTS)))
        began.append(time.perf_counter())
        for _ in range(RUNS // CLIENTS):
            await make([run() for _ in range(CLIENTS)], f"{path}/bulk")
        began.append(time.perf_counter())
    alone, at_once, together = (RUNS / (end - start) for start, end in pairwise(began))
    return f"{alone:.1f} runs/s one by one, {at_once:.1f} for {CLIENTS} clients, {together:.1f} {CLIENTS} a request"


def run() -> dict[str, Any]:
    """A new run as the gateway asks for it."""
    text = uuid4().hex
    return {
        "parameters": {"text": text},
        "enforce_parameter_schema": False,
        "name": text,
        "tags": [JOB_TAG, "key:bench"],
        "idempotency_key": text,
        "labels": {"c500.submission": text},
    }


FEATURES = b'--b\r\nContent-Disposition: form-data; name="features"\r\n\r\nraw_transcript\r\n'
FILE = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\nContent-Type: audio/wav\r\n\r\n'
SOUND = bytes(MEGABYTE - len(WAV) - 16)


def form(seed: bytes) -> bytes:
    """A form with a WAV of 1 MB, no two alike."""
    return b"".join((FEATURES, FILE, WAV, SOUND, seed, b"\r\n--b--\r\n"))


def answers(url: str) -> bool:
    try:
        httpx.get(url, trust_env=False)
    except httpx.HTTPError:
        return False
    return True
