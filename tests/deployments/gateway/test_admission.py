"""Back-pressure and fairness against a real Prefect server."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from prefect.client.orchestration import PrefectClient, get_client
from prefect.settings import PREFECT_API_URL, temporary_settings

from blocks.settings import settings
from deployments.gateway.intake.admission import Admission, Place
from deployments.gateway.web.problems import QueueFull
from tests.deployments.gateway.gateways import Gateway
from tests.deployments.gateway.submitting import ask, clear, ended, fill, job_runs, recording, submit
from tests.processes import until


@pytest.fixture
async def client(deployed: str) -> AsyncIterator[PrefectClient]:
    with temporary_settings({PREFECT_API_URL: deployed}):
        async with get_client() as client:
            await clear(client)
            yield client
            await clear(client)


@pytest.fixture
def depth(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    def set_depth(jobs: int) -> None:
        monkeypatch.setenv("MAX_QUEUE_DEPTH", str(jobs))
        settings.cache_clear()

    return set_depth


async def admitted(admission: Admission, owner: str) -> bool:
    """Whether the owner would get a place, which is given back."""
    try:
        async with admission.place(owner):
            return True
    except QueueFull:
        return False


async def test_the_queue_takes_as_many_as_it_is_deep(client: PrefectClient, depth: Any) -> None:
    depth(3)
    await fill(client, "a", 2)
    admission = Admission(client)
    assert await admitted(admission, "a")
    await fill(client, "a", 3)
    admission.forget()
    with pytest.raises(QueueFull) as refused:
        async with admission.place("a"):
            pass
    assert refused.value.details["waiting"] == 3
    assert 1 <= refused.value.details["retry_after_s"] <= 300


async def test_uploads_in_hand_count(client: PrefectClient, depth: Any) -> None:
    depth(5)
    admission, begun = Admission(client), asyncio.Event()
    answered = 0

    def answer() -> None:
        nonlocal answered
        answered += 1
        if answered == 20:
            begun.set()

    async def upload() -> bool:
        try:
            async with admission.place("a"):
                answer()
                await begun.wait()
                return True
        except QueueFull:
            answer()
            return False

    assert sum(await asyncio.gather(*(upload() for _ in range(20)))) == 5
    assert await admitted(admission, "a")


async def test_what_was_submitted_counts_before_prefect_is_asked_again(client: PrefectClient, depth: Any) -> None:
    depth(2)
    admission = Admission(client)
    for number in range(2):
        async with admission.place("a") as place:
            await fill(client, "a", number + 1)
            place.taken = True
    assert not await admitted(admission, "a")


async def test_a_key_below_its_share_gets_in_when_others_fill_the_queue(client: PrefectClient, depth: Any) -> None:
    depth(6)
    await fill(client, "greedy", 6)
    admission = Admission(client)
    assert not await admitted(admission, "greedy")
    assert await admitted(admission, "modest")
    await fill(client, "modest", 3)
    admission.forget()
    assert not await admitted(admission, "modest")
    assert await admitted(admission, "third")


async def test_shares_end_at_twice_the_depth(client: PrefectClient, depth: Any) -> None:
    depth(2)
    await fill(client, "greedy", 2)
    for owner in "bc":
        await fill(client, owner, 1)
    assert not await admitted(Admission(client), "d")


async def test_the_rate_of_service_says_when_to_come_again(client: PrefectClient, deployed: str, depth: Any) -> None:
    depth(1)
    await fill(client, "a", 3)
    unknown = await refusal(Admission(client))
    await fill(client, "b", 4)
    for run in await client.read_flow_runs():
        if "key:b" in run.tags:
            await asyncio.to_thread(ended, deployed, str(run.id), well=True)
    assert await refusal(Admission(client)) < unknown


async def refusal(admission: Admission) -> float:
    with pytest.raises(QueueFull) as refused:
        async with admission.place("a"):
            pass
    return refused.value.details["retry_after_s"]


def test_later_jobs_of_a_key_go_behind() -> None:
    levels = [Place("a", ahead, asyncio.Lock()).work_queue for ahead in (0, 1, 2, 3, 6, 7, 14, 15, 1000)]
    assert levels == [f"fair-{level}" for level in (0, 1, 1, 2, 2, 3, 3, 4, 4)]


def test_a_full_queue_answers_429_before_the_upload(submitting: Gateway, deployed: str) -> None:
    ask(deployed, lambda client: fill(client, "static", 50))
    with submitting.client() as client:
        answer = submit(client)
    assert answer.status_code == 429
    assert answer.json()["error"]["code"] == "QUEUE_FULL"
    assert int(answer.headers["Retry-After"]) >= 1


def test_jobs_of_a_key_spread_over_the_fair_queues(submitting: Gateway, deployed: str) -> None:
    with submitting.client() as client:
        until(lambda: submit(client, recording("0")).status_code == 202)  # it has seen that the queue is empty
        for number in range(1, 4):
            assert submit(client, recording(str(number))).status_code == 202
    queues = [run.work_queue_name for run in ask(deployed, job_runs)]
    assert sorted(queues) == ["fair-0", "fair-1", "fair-1", "fair-2"]
