"""Throughput of short jobs on two workers: Prefect on PostgreSQL and Redis against SQLite."""

import asyncio
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import FlowRun

from tests.databases import postgres_server, redis_server
from tests.service import Service, start_service

NAME = "jobs"
UNIT = "x time on PostgreSQL and Redis / time on SQLite"
GOAL = 1.5

WORKERS = 2
AT_ONCE = 20
POLL_S = 0.25
LIMIT_S = 1800
TEXT = "Maria will call the customer before noon. We decided to ship order {number} on Friday."


def measure(quick: bool) -> float:
    """How much longer the same jobs take on the servers that several machines need."""
    jobs = 20 if quick else 200
    with tempfile.TemporaryDirectory() as folder, start_service(Path(folder), "--workers", str(WORKERS)) as service:
        sqlite_s = asyncio.run(_run_jobs(service, jobs))
    with tempfile.TemporaryDirectory() as folder, postgres_server() as postgres, redis_server() as redis:
        options = ("--workers", str(WORKERS), "--postgres", postgres.url, "--redis", redis.url)
        with start_service(Path(folder), *options) as service:
            postgres_s = asyncio.run(_run_jobs(service, jobs))
    for name, took_s in (("SQLite", sqlite_s), ("PostgreSQL + Redis", postgres_s)):
        print(f"{name:18} {jobs} jobs in {took_s:6.1f} s: {jobs / took_s:.2f} jobs/s")
    return postgres_s / sqlite_s


async def _run_jobs(service: Service, jobs: int) -> float:
    """Seconds from the first submit to the end of the last job."""
    async with PrefectClient(service.api_url, auth_string=service.auth) as client:
        deployment = await client.read_deployment_by_name("process-text/process-text")
        slots = asyncio.Semaphore(AT_ONCE)

        async def submit(number: int) -> UUID:
            parameters = {"text": TEXT.format(number=number), "source_name": f"text {number}"}
            async with slots:
                return (await client.create_flow_run_from_deployment(deployment.id, parameters=parameters)).id

        # One that is not counted: the workers have loaded everything when it is done.
        await _all_complete(client, [await submit(-1)])
        begun = time.perf_counter()
        await _all_complete(client, await asyncio.gather(*(submit(number) for number in range(jobs))))
        return time.perf_counter() - begun


async def _all_complete(client: PrefectClient, ids: Sequence[UUID]) -> None:
    async with asyncio.timeout(LIMIT_S):
        runs = await _read(client, ids)
        while not all(run.state and run.state.is_final() for run in runs):
            await asyncio.sleep(POLL_S)
            runs = await _read(client, ids)
    failed = [run.name for run in runs if not (run.state and run.state.is_completed())]
    if failed:
        raise RuntimeError(f"{len(failed)} jobs did not complete: {failed[:5]}")


async def _read(client: PrefectClient, ids: Sequence[UUID]) -> list[FlowRun]:
    return await client.read_flow_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=list(ids))), limit=200)
