"""Waiting for runs: one question for all, nothing when idle, patience when Prefect is away."""

import asyncio
from collections.abc import AsyncIterator
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
from tests.processes import eventually


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


def watching(watcher: Watcher) -> int:
    """How many runs somebody waits for."""
    return len(watcher._watched)


async def set_state(client: PrefectClient, run_id: UUID, state: Any) -> None:
    await client.set_flow_run_state(run_id, state, force=True)


async def test_who_waits_is_told_of_the_next_status(counted: tuple[Watcher, list[str]], direct: PrefectClient) -> None:
    watcher, _ = counted
    run = await new_run(direct)
    waiting = asyncio.create_task(watcher.wait_for_status(run, 60))
    await eventually(lambda: watching(watcher) == 1)
    await set_state(direct, run.run_id, Running())
    assert (await waiting).status == "PREPROCESSING"


async def test_without_news_the_run_is_told_as_it_is(counted: tuple[Watcher, list[str]], direct: PrefectClient) -> None:
    run = await new_run(direct)
    assert await counted[0].wait_for_status(run, 0.01) == run
    assert watching(counted[0]) == 0


async def test_two_hundred_waiters_cost_one_question_each_time(
    counted: tuple[Watcher, list[str]], direct: PrefectClient
) -> None:
    watcher, asked = counted
    runs = [await new_run(direct) for _ in range(4)]
    waiting = [asyncio.create_task(watcher.wait_for_end(run)) for run in runs for _ in range(50)]
    await eventually(lambda: len(asked) >= 3)
    assert set(asked) == {"/api/flow_runs/filter"}
    for run in runs:
        await set_state(direct, run.run_id, Completed())
    assert {run.status for run in await asyncio.gather(*waiting)} == {"COMPLETE"}
    assert len(asked) < 50


async def test_nothing_is_asked_while_nobody_waits(counted: tuple[Watcher, list[str]], direct: PrefectClient) -> None:
    watcher, asked = counted
    run = await new_run(direct)
    waiting = asyncio.create_task(watcher.wait_for_end(run))
    await eventually(lambda: len(asked) > 0)
    waiting.cancel()
    await eventually(lambda: watching(watcher) == 0)
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
    await eventually(lambda: len(asked) > 0)
    way.close()
    before = len(asked)
    await eventually(lambda: len(asked) > before + 2)
    await set_state(direct, run.run_id, Failed())
    assert not waiting.done()
    way.open()
    assert (await asyncio.wait_for(waiting, 60)).status == "FAILED"


async def test_an_error_nobody_thought_of_does_not_end_the_watch(prefect_server: str, direct: PrefectClient) -> None:
    failures = [ValueError("what is this?"), RuntimeError("and this?")]

    async def fail(request: Any) -> None:
        if request.url.path.endswith("/flow_runs/filter") and failures:
            raise failures.pop()

    run = await new_run(direct)
    with temporary_settings({PREFECT_API_URL: prefect_server}):
        async with get_client(httpx_settings={"event_hooks": {"request": [fail]}}) as client:
            watcher = Watcher(client)
            waiting = asyncio.create_task(watcher.wait_for_end(run))
            await eventually(lambda: not failures)
            await set_state(direct, run.run_id, Completed())
            assert (await asyncio.wait_for(waiting, 60)).status == "COMPLETE"
            await watcher.close()


async def test_nobody_is_told_what_was_overtaken(
    counted: tuple[Watcher, list[str]], direct: PrefectClient, way: Proxy
) -> None:
    watcher, _ = counted
    waiting_run = await new_run(direct)
    early = asyncio.create_task(watcher.wait_for_status(waiting_run, 60))
    await eventually(lambda: watching(watcher) == 1)
    way.close()  # the watcher itself learns nothing more
    await set_state(direct, waiting_run.run_id, Running())
    running_run = await read_run(direct, waiting_run.run_id)
    assert (await watcher.wait_for_status(running_run, 0.05)).status == "PREPROCESSING"
    assert (await asyncio.wait_for(early, 30)).status == "PREPROCESSING"
    way.open()


async def test_a_run_that_is_deleted_ends_the_wait(counted: tuple[Watcher, list[str]], direct: PrefectClient) -> None:
    run = await new_run(direct)
    waiting = asyncio.create_task(counted[0].wait_for_end(run))
    await eventually(lambda: watching(counted[0]) == 1)
    await direct.delete_flow_run(run.run_id)
    with pytest.raises(NotFound):
        await asyncio.wait_for(waiting, 60)
