"""Following a task that is under way: long polls and events over real HTTP."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from prefect.client.orchestration import PrefectClient
from prefect.states import Failed, Running

from tests.deployments.gateway.gateways import Gateway
from tests.deployments.gateway.submitting import ask, submit
from tests.deployments.gateway.working import stored_gateway
from tests.processes import until


@pytest.fixture(scope="module")
def server(deployed: str, store_path: Path) -> Iterator[Gateway]:
    with stored_gateway(deployed, store_path) as running:
        yield running


@pytest.fixture
def task(server: Gateway, request: pytest.FixtureRequest) -> str:
    """A task that waits for a worker."""
    with server.client() as client:
        return str(submit(client, hints=request.node.name[:100]).json()["task_id"])


def set_state(url: str, task: str, state: Any) -> None:
    async def change(client: PrefectClient) -> None:
        await client.set_flow_run_state(UUID(task), state, force=True)

    ask(url, change)


def in_hand(server: Gateway) -> float:
    """Requests that the gateway has not answered whole, besides this one."""
    text = httpx.get(f"{server.url}/metrics", trust_env=False).text
    (line,) = (line for line in text.splitlines() if line.startswith("c500_http_requests_in_hand "))
    return float(line.split()[1]) - 1


def test_a_long_poll_ends_with_the_next_status(server: Gateway, deployed: str, task: str) -> None:
    with server.client() as client, ThreadPoolExecutor() as pool:
        polling = pool.submit(client.get, f"/v1/status/{task}", params={"wait": 60})
        until(lambda: in_hand(server) == 1)
        set_state(deployed, task, Running())
        assert polling.result().json()["status"] == "PREPROCESSING"


def test_a_long_poll_without_news_tells_the_status(server: Gateway, task: str) -> None:
    with server.client() as client:
        answer = client.get(f"/v1/status/{task}", params={"wait": 0.05}).json()
    assert answer["status"] == "PENDING"
    assert answer["results"] is answer["versions"] is answer["metrics"] is None
    assert answer["links"].keys() == {"self", "events", "cancel"}


def test_what_a_client_has_not_seen_is_told_at_once(server: Gateway, deployed: str, task: str) -> None:
    set_state(deployed, task, Running())
    with server.client() as client:
        answer = client.get(f"/v1/status/{task}", params={"wait": 60, "seen": "PENDING"}, timeout=30)
    assert answer.json()["status"] == "PREPROCESSING"


@pytest.mark.parametrize("wrong", [{"wait": "61"}, {"wait": "-1"}, {"wait": "nan"}, {"wait": "x"}, {"keys": "de"}])
def test_wrong_parameters_are_named(server: Gateway, task: str, wrong: dict[str, str]) -> None:
    with server.client() as client:
        answer = client.get(f"/v1/status/{task}", params=wrong)
    assert answer.status_code == 422
    assert answer.json()["error"]["code"] == "VALIDATION_ERROR"


def test_a_result_is_not_there_before_the_end(server: Gateway, task: str) -> None:
    with server.client() as client:
        answer = client.get(f"/v1/results/{task}/txt")
    assert answer.status_code == 409
    assert answer.json()["error"]["code"] == "TASK_NOT_FINISHED"
    assert int(answer.headers["retry-after"]) >= 1


def test_events_tell_the_way_to_the_end(server: Gateway, deployed: str, task: str) -> None:
    lines: list[str] = []
    with following(server, task, lines) as reading:
        until(lambda: "event: status" in lines)
        set_state(deployed, task, Running())
        until(lambda: any('"PREPROCESSING"' in line for line in lines))
        set_state(deployed, task, Failed(message="it broke"))
        reading.join(timeout=30)
        assert not reading.is_alive()
    assert [line for line in lines if line.startswith("event")] == ["event: status", "event: status", "event: end"]
    assert '"FAILED"' in lines[-2] and "it broke" in lines[-2]
    until(lambda: in_hand(server) == 0)


def test_a_client_that_comes_back_is_not_told_what_it_knows(server: Gateway, deployed: str, task: str) -> None:
    lines: list[str] = []
    with following(server, task, lines, headers={"Last-Event-ID": "0/PENDING//"}) as reading:
        until(lambda: in_hand(server) == 1)
        set_state(deployed, task, Failed())
        reading.join(timeout=30)
    assert [line for line in lines if line.startswith("event")] == ["event: end"]


def test_a_client_that_leaves_is_forgotten(server: Gateway, task: str) -> None:
    with server.client() as client, client.stream("GET", f"/v1/events/{task}") as answer:
        lines = answer.iter_lines()
        assert next(lines) == "retry: 2000"
        assert in_hand(server) == 1
    until(lambda: in_hand(server) == 0)


class following:
    """A thread that reads the events of a task into a list, until they end."""

    def __init__(self, server: Gateway, task: str, lines: list[str], headers: dict[str, str] | None = None) -> None:
        self._thread = threading.Thread(target=self._read, args=(server, task, lines, headers or {}))

    def __enter__(self) -> threading.Thread:
        self._thread.start()
        return self._thread

    def __exit__(self, *_: object) -> None:
        self._thread.join(timeout=60)

    @staticmethod
    def _read(server: Gateway, task: str, lines: list[str], headers: dict[str, str]) -> None:
        read: Callable[[str], None] = lines.append
        with server.client() as client, client.stream("GET", f"/v1/events/{task}", headers=headers) as answer:
            for line in answer.iter_lines():
                read(line)
