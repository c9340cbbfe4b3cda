"""A swarm spread over workers whose own process dies is gone on with, and a deadline holds for all of its parts."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterTags
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.exceptions import ObjectAlreadyExists
from prefect.states import Cancelled

from blocks.errors import TimedOut
from flows import spread, swarm
from tasks.swarm.job import SwarmJob, swarm_job
from tasks.swarm.pace import pace
from tasks.swarm.tally import watcher
from tests.fakes.deployed import start, until
from tests.fakes.llm.simulated import Simulated
from tests.flows.swarming import PROMPT, SCHEMA, assert_each_row_once, lines, runner, shared_simulator, write_rows

POOL = "swarm-spread-pool"
ROWS = 60
DEADLINE_S = 15
"""Time enough to make the runs of the shards on a busy machine."""


@pytest.fixture
def sim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulated]:
    """Four accounts that take half a second; the settings of this process and its children lead there."""
    with shared_simulator(tmp_path, monkeypatch, mean_ms=500) as one:
        yield one


@pytest.fixture
async def client(prefect_api: str) -> AsyncIterator[PrefectClient]:
    """A server with the deployment of shards, in a pool without a worker."""
    async with get_client() as opened:
        with suppress(ObjectAlreadyExists):
            await opened.create_work_pool(WorkPoolCreate(name=POOL, type="process"))
        flow_id = await opened.create_flow_from_name("swarm-shard")
        made = await opened.create_deployment(
            flow_id, "swarm-shard", entrypoint="flows.swarm.swarm_shard", work_pool_name=POOL
        )
        yield opened
        await opened.delete_deployment(made)


def asked(folder: Path) -> dict[str, Any]:
    rows, output = write_rows(folder / "rows.jsonl", ROWS), folder / "out.jsonl"
    question = {"prompt": PROMPT, "schema": SCHEMA, "model": "m"}
    return {"source": str(rows), "output": str(output), **question, "concurrency": 4, "workers": 2}


def job_of(fields: dict[str, Any]) -> SwarmJob:
    return swarm_job(**{("answer_schema" if name == "schema" else name): value for name, value in fields.items()})


async def shards(client: PrefectClient, job: SwarmJob) -> list[FlowRun]:
    """The runs of all shards, in the order of their rows."""
    wanted = FlowRunFilter(tags=FlowRunFilterTags(all_=[spread.tag_of(job)]))
    return sorted(await client.read_flow_runs(flow_run_filter=wanted), key=lambda run: run.parameters["first"])


async def test_a_swarm_whose_process_was_killed_ends_its_shards_and_goes_on(
    client: PrefectClient, sim: Simulated, tmp_path: Path
) -> None:
    fields = asked(tmp_path)
    job = job_of(fields)

    async def both_asked_for() -> bool:
        return len(await shards(client, job)) == 2

    with runner() as parent:
        pid = await asyncio.to_thread(parent.start, **fields)
        await until(both_asked_for)
        os.kill(pid, signal.SIGKILL)
        assert await asyncio.to_thread(parent.wait) == {"signal": signal.SIGKILL}
    orphan, _ = await shards(client, job)
    process = await start(client, orphan.id, tmp_path / "shard.log")

    async def does_some() -> bool:
        return len(lines(tmp_path / "out.jsonl.part-000.jsonl")) > 2

    async def cancelling() -> bool:
        return (await client.read_flow_run(orphan.id)).state_type == StateType.CANCELLING

    async def worker() -> None:
        await until(cancelling)
        process.kill()
        process.wait()
        await client.set_flow_run_state(orphan.id, Cancelled(), force=True)

    await until(does_some)
    ending = asyncio.create_task(worker())
    report = await swarm(**{**fields, "workers": 0, "concurrency": 50})
    await ending
    assert report.found > 2
    assert report.found + report.answered == ROWS
    assert_each_row_once(lines(tmp_path / "out.jsonl"), ROWS)
    assert [run.state_type for run in await shards(client, job)] == [StateType.CANCELLED] * 2
    assert not list(tmp_path.glob("*.part-*"))


async def test_the_deadline_holds_for_shards_that_no_worker_begins(
    client: PrefectClient, sim: Simulated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spread, "GRACE_S", 0.0)
    fields, told = asked(tmp_path), list[str]()
    token = watcher.set(lambda tally: told.append(pace(tally)))
    try:
        with pytest.raises(TimedOut, match=f"0 of {ROWS} rows are answered"):
            await swarm(**fields, deadline_s=DEADLINE_S)
    finally:
        watcher.reset(token)
    assert told
    assert not any("in flight" in line for line in told)  # the calls of others
    runs = await shards(client, job_of(fields))
    assert [run.state_type for run in runs] == [StateType.CANCELLED] * 2
    assert all(run.parameters["job"]["deadline_s"] < DEADLINE_S for run in runs)
