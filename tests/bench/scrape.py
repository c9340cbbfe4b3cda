"""A scrape of a gateway over a store with 10,000 jobs and 1,000 incidents, and what it costs others meanwhile.

One gateway of its own against a real Prefect server. First the first scrape, which looks at everything; then one each
15 s, as Prometheus makes them, each of which finds most of what is known too old. Measured is the processor time that
the gateway takes for all that, which other work on the machine does not change much; wall time is printed beside it,
and how long other requests of the gateway take meanwhile.
"""

import asyncio
import statistics
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import httpx
import psutil

from blocks.job import JobOptions, JobResult, Metrics, Versions
from blocks.store import LocalFiles
from deployments.gateway.metrics.jobs import JobLook
from deployments.gateway.metrics.operations import OperationsLook
from deployments.server import temporary_server
from tasks.ops.incident.incident import Incident
from tasks.ops.incident.intake import incidents
from tests.conftest import ROOT
from tests.deployments.gateway.gateways import Gateway, start_gateway

NAME = "scrape"
UNIT = "ms of processor time for a scrape each 15 s, 10,000 jobs and 1,000 incidents"
GOAL = 300.0

JOBS, INCIDENTS = {True: 2_000, False: 10_000}, {True: 200, False: 1_000}
SCRAPES = {True: 2, False: 6}
EVERY_S = 15.0
FILES = ("audio.wav", "transcript.json", "enhanced.json", "summary.json", "transcript.txt", "waveform.png", "log.jsonl")


def measure(quick: bool) -> float:
    """Milliseconds of processor time."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fill(LocalFiles(folder / "store"), JOBS[quick], INCIDENTS[quick])
        looks(folder)
        with temporary_server() as prefect:
            gateway = start_gateway(
                prefect,
                log=folder / "gateway.log",
                PYTHONPATH=str(ROOT),
                AUDIO_DIR=str(folder / "store"),
                LOG_DIR=str(folder / "logs"),
            )
            try:
                return asyncio.run(scraped(gateway, SCRAPES[quick]))
            finally:
                gateway.stop()


def fill(files: LocalFiles, jobs: int, opened: int) -> None:
    """A store with so many results, with the files that a job has, and so many incidents, one in ten of them open."""
    now = datetime.now(UTC)
    metrics = Metrics(input_duration_s=60, processing_time_s=12, step_time_s={"transcribe": 10}, rtf=0.2)
    for number in range(jobs):
        job_id = f"{number:016x}"
        result = JobResult(
            job_id=job_id,
            status="complete",
            source_name="call.wav",
            options=JobOptions(),
            metrics=metrics,
            versions=Versions(pipeline="1"),
            finished_at=now,
        )
        folder = files.root / "jobs" / job_id
        folder.mkdir(parents=True)
        (folder / "result.json").write_text(result.model_dump_json())
        for name in FILES:
            (folder / name).touch()
    for number in range(opened):
        status = "open" if number % 10 == 0 else "resolved" if number % 10 == 1 else "closed"
        first = Incident(
            incident_id=f"inc-{number}", title="t", severity="high", opened_at=now, began_at=now, status=status
        )
        with incidents(files).held(f"inc-{number}", first):
            pass


def looks(folder: Path) -> None:
    """How long a look at the files takes, the first and the next."""
    files = LocalFiles(folder / "store")
    job_look, operations = JobLook(files), OperationsLook(files)
    for title, look in (("jobs", lambda: asyncio.run(job_look.read())), ("incidents", operations.incidents)):
        taken = [_timed(look) for _ in range(3)]
        print(f"look at {title:10} first {taken[0] * 1000:8.1f} ms, next {taken[-1] * 1000:8.1f} ms", flush=True)


async def scraped(gateway: Gateway, scrapes: int) -> float:
    """Milliseconds of processor time for each scrape; more is printed."""
    process = psutil.Process(gateway.process.pid)
    async with httpx.AsyncClient(base_url=gateway.url, timeout=60, trust_env=False) as client:
        begun = time.perf_counter()
        answer = await client.get("/metrics")
        print(f"first scrape {1000 * (time.perf_counter() - begun):8.1f} ms", flush=True)
        idle = [await _request_s(client, "/health/live") for _ in range(40)]
        beside, taken, used_s = list[float](), list[float](), 0.0
        for _ in range(scrapes):
            await asyncio.sleep(EVERY_S)
            before = _cpu_s(process)
            taken.append(await _request_s(client, "/metrics"))
            await asyncio.sleep(1)  # the looks that the scrape did not wait for
            used_s += _cpu_s(process) - before
        for _ in range(scrapes):
            await asyncio.sleep(EVERY_S)
            scrape = asyncio.create_task(_request_s(client, "/metrics"))
            while not scrape.done():
                beside.append(await _request_s(client, "/health/live"))
        answer = await client.get("/metrics")
    figures = {"other requests, idle": idle, "other requests, during scrapes": beside, "scrapes": taken}
    for title, seconds in figures.items():
        middle, worst = statistics.median(seconds) * 1000, max(seconds) * 1000
        print(f"{title:32} median {middle:7.1f} ms, longest {worst:7.1f} ms", flush=True)
    print(f"{len(answer.content):,} bytes", flush=True)
    return 1000 * used_s / scrapes


def _cpu_s(process: psutil.Process) -> float:
    used = process.cpu_times()
    return used.user + used.system


async def _request_s(client: httpx.AsyncClient, path: str) -> float:
    begun = time.perf_counter()
    (await client.get(path)).raise_for_status()
    return time.perf_counter() - begun


def _timed(work: object) -> float:
    begun = time.perf_counter()
    work()  # type: ignore[operator]
    return time.perf_counter() - begun
