"""Waiting for runs: one question for all, nothing when idle, patience when Prefect is away."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import UUID

import pytest
from prefect import flow
from prefect.client.orchestration import PrefectClient, get_client
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Completed, Failed, Running, Scheduled

from blocks.errors import NotFound
from blocks.runs import JobRun, read_run
from deployments.gateway.watch import Watcher
from tests.deployments.gateway.proxy import Proxy


@flow(name="watched", persist_result=False)
async def watched_flow() -> None:
    """Never runs; its states are set by hand."""


@pytest.fixture
def way(prefect_server: str) -> Proxy:
    """The way to the Prefect server, which can be closed."""
    return Proxy(prefect_server)


@pytest.fixture
async def direct(prefect_server: str) -> AsyncIterator[PrefectClient]:
    """A connection that is never closed."""
    with temporary_settings({PREFECT_API_URL: prefect_server}):
        async with get_client() as client:
            yield client


@pytest.fixture
async def counted(way: Proxy, direct: PrefectClient) -> AsyncIterator[tuple[Watcher, list[str]]]:
    """A watcher by way of the proxy, and the paths that it asked for."""
    asked: list[str] = []

    async def note(request: Any) -> None:
        if not request.url.path.endswith("/csrf-token"):
            asked.append(request.url.path)

    with temporary_settings({PREFECT_API_URL: way.url}):
        async with get_client(httpx_settings={"event_hooks": {"request": [note]}}) as client:
            watcher = Watcher(client)
            yield watcher, asked
            await watcher.close()


async def new_run(client: PrefectClient) -> JobRun:
    made = await client.create_flow_run(watched_flow, state=Scheduled())
    return await read_run(client, made.id)


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not true():  # noqa: ASYNC110 - what is waited for is no event of ours
            await asyncio.sleep(0.01)


async def set_state(client: PrefectClient, run_id: UUID, state: Any) -> None:
    await client.set_flow_run_state(run_id, state, force=True)


async def test_who_waits_is_told_of_the_next_status(counted: tuple[Watcher, list[str]], direct: PrefectClient) -> None:
    watcher, _ = counted
    run = await new_run(direct)
    waiting = asyncio.create_task(watcher.wait_for_status(run, 60))
    await until(lambda: watcher.watching == 1)
    await set_state(direct, run.run_id, Running())
    assert (await waiting).status == "PREPROCESSING"


async def test_without_news_the_run_is_told_as_it_is(counted: tuple[Watcher, list[str]], direct: PrefectClient) -> None:
    run = await new_run(direct)
    assert await counted[0].wait_for_status(run, 0.01) == run
    assert counted[0].watching == 0


async def test_two_hundred_waiters_cost_one_question_each_time(
    counted: tuple[Watcher, list[str]], direct: PrefectClient
) -> None:
    watcher, asked = counted
    runs = [await new_run(direct) for _ in range(4)]
    waiting = [asyncio.create_task(watcher.wait_for_end(run)) for run in runs for _ in range(50)]
    await until(lambda: len(asked) >= 3)
    assert set(asked) == {"/api/flow_runs/filter"}
    for run in runs:
        await set_state(direct, run.run_id, Completed())
    assert {run.status for run in await asyncio.gather(*waiting)} == {"COMPLETE"}
    assert len(asked) < 50


async def test_nothing_is_asked_while_nobody_waits(counted: tuple[Watcher, list[str]], direct: PrefectClient) -> None:
    watcher, asked = counted
    run = await new_run(direct)
    waiting = asyncio.create_task(watcher.wait_for_end(run))
    await until(lambda: len(asked) > 0)
    waiting.cancel()
    await until(lambda: watcher.watching == 0)
    polling = watcher._polling
    assert polling is not None
    await asyncio.wait_for(polling, 10)
    asked.clear()
    await asyncio.sleep(0)
    assert asked == []


async def test_a_server_that_is_away_for_a_while_is_waited_for(
    counted: tuple[Watcher, list[str]], direct: PrefectClient, way: Proxy
) -> None:
    watcher, asked = counted
    run = await new_run(direct)
    waiting = asyncio.create_task(watcher.wait_for_end(run))
    await until(lambda: len(asked) > 0)
    way.close()
    before = len(asked)
    await until(lambda: len(asked) > before + 2)
    await set_state(direct, run.run_id, Failed())
    assert not waiting.done()
    way.open()
    assert (await asyncio.wait_for(waiting, 60)).status == "FAILED"


async def test_a_run_that_is_deleted_ends_the_wait(counted: tuple[Watcher, list[str]], direct: PrefectClient) -> None:
    run = await new_run(direct)
    waiting = asyncio.create_task(counted[0].wait_for_end(run))
    await until(lambda: counted[0].watching == 1)
    await direct.delete_flow_run(run.run_id)
    with pytest.raises(NotFound):
        await asyncio.wait_for(waiting, 60)
