"""A job that was accepted is never lost: the whole service, its parts killed in turn while clients submit."""

import random
import threading
import time
import wave
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from uuid import UUID

import httpx
import numpy as np
import psutil
import pytest

from tests.service import Service, start_service

RATE_HZ = 16_000
KEY = "chaos-key-with-all-scopes-0123456789abcdef"
PARTS = ("prefect_server server start", "prefect worker start --pool cpu", "deployments.gateway")


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with start_service(tmp_path, SECRET_API_KEY=KEY, MAX_QUEUE_DEPTH="60") as running:
        yield running


def part(service: Service, command: str) -> psutil.Process | None:
    """The running process of a part, by its command line."""
    with suppress(psutil.NoSuchProcess):
        for child in psutil.Process(service.process.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                if command in " ".join(child.cmdline()) and child.status() != psutil.STATUS_ZOMBIE:
                    return child
    return None


@dataclass
class Client:
    """Submits recordings until each is accepted, whatever happens to the gateway meanwhile."""

    url: str
    accepted: dict[int, str] = field(default_factory=dict)

    def submit(self, number: int) -> None:
        while number not in self.accepted:
            with suppress(httpx.HTTPError):
                answer = httpx.post(
                    f"{self.url}/v1/process",
                    headers={"X-API-Key": KEY},
                    files={"file": (f"call-{number}.wav", recording(number), "audio/wav")},
                    data={"features": "raw_transcript"},
                    timeout=60,
                    trust_env=False,
                )
                if answer.status_code == 202:
                    self.accepted[number] = answer.json()["task_id"]
                    return
                assert answer.status_code in (429, 502, 503), answer.text
            time.sleep(random.uniform(0.2, 1.0))  # as a client backs off


def recording(number: int) -> bytes:
    """A second of faint noise; every number another one."""
    from io import BytesIO

    noise = np.random.default_rng(number).integers(-40, 40, RATE_HZ, dtype=np.int16)
    content = BytesIO()
    with wave.open(content, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes(noise.tobytes())
    return content.getvalue()


def kill_in_turn(service: Service, kills: int, done: threading.Event) -> int:
    """Kill a part, wait until it runs again, kill the next; returns how many died."""
    killed = 0
    for command in cycle(PARTS):
        if done.is_set() or killed == kills:
            return killed
        victim = part(service, command)
        if victim is None:
            done.wait(0.1)
            continue
        victim.kill()
        killed += 1
        wait_for(lambda c=command, v=victim: is_another(part(service, c), v), f"{command} to run again", 120)
        done.wait(random.uniform(0.5, 4.0))
    raise AssertionError


def is_another(found: psutil.Process | None, before: psutil.Process) -> bool:
    return found is not None and found.pid != before.pid


def wait_for(holds: Callable[[], bool], what: str, limit_s: float) -> None:
    deadline = time.monotonic() + limit_s
    while not holds():
        assert time.monotonic() < deadline, f"waited {limit_s} s for {what}"
        time.sleep(0.1)


def statuses(service: Service, ids: list[str]) -> dict[str, str]:
    """The status of each job, as a client reads it."""
    found: dict[str, str] = {}
    with httpx.Client(base_url=service.gateway_url, headers={"X-API-Key": KEY}, timeout=30, trust_env=False) as client:
        for task in ids:
            with suppress(httpx.HTTPError):
                answer = client.get(f"/v1/status/{task}")
                found[task] = answer.json().get("status", answer.text)
    return found


async def histories(service: Service, ids: list[str]) -> dict[str, list[str]]:
    """The states that each run went through."""
    from prefect.client.orchestration import PrefectClient

    async with PrefectClient(service.api_url, auth_string=service.auth) as client:
        return {task: [state.type.value for state in await client.read_flow_run_states(UUID(task))] for task in ids}


@pytest.mark.parametrize(
    ("jobs", "clients", "kills"),
    [pytest.param(6, 3, 3, id="small"), pytest.param(500, 20, 30, id="full", marks=pytest.mark.soak)],
)
async def test_every_accepted_job_ends_complete_once(service: Service, jobs: int, clients: int, kills: int) -> None:
    client = Client(service.gateway_url)
    done = threading.Event()
    with ThreadPoolExecutor(clients + 1) as pool:
        killing = pool.submit(kill_in_turn, service, kills, done)
        list(pool.map(client.submit, range(jobs)))
        ids = list(client.accepted.values())
        assert len(set(ids)) == jobs

        def all_finished() -> bool:
            left = [task for task in ids if finished.get(task) not in ("COMPLETE", "FAILED")]
            finished.update(statuses(service, left))
            return all(finished.get(task) in ("COMPLETE", "FAILED") for task in ids)

        finished: dict[str, str] = {}
        try:
            wait_for(all_finished, "all jobs", 300 + 6 * jobs)
        finally:
            done.set()
        killed = killing.result()
    assert killed >= min(kills, 3)
    assert set(finished.values()) == {"COMPLETE"}, finished
    completed = {task: states.count("COMPLETED") for task, states in (await histories(service, ids)).items()}
    assert set(completed.values()) == {1}, completed
