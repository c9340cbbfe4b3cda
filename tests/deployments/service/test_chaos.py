"""A job that was accepted is never lost: the whole service, its parts killed in turn while clients submit."""

import random
import threading
import time
import wave
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from io import BytesIO
from itertools import cycle
from pathlib import Path
from uuid import UUID

import httpx
import numpy as np
import psutil
import pytest
from prefect.client.orchestration import PrefectClient

from tests.processes import HTTP, until
from tests.service import Service, start_service

RATE_HZ = 16_000
PARTS = {
    "server": "prefect_server server start",
    "worker-cpu": "prefect worker start --pool cpu",
    "gateway": "deployments.gateway",
}
BACK_S = 120
WAIT_S = 5


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
    key: str
    accepted: dict[int, str] = field(default_factory=dict)

    def submit(self, number: int) -> None:
        while number not in self.accepted:
            with suppress(httpx.HTTPError):
                answer = httpx.post(
                    f"{self.url}/v1/process",
                    headers={"X-API-Key": self.key},
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
    noise = np.random.default_rng(number).integers(-40, 40, RATE_HZ, dtype=np.int16)
    content = BytesIO()
    with wave.open(content, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes(noise.tobytes())
    return content.getvalue()


def kill_in_turn(service: Service, kills: int, done: threading.Event) -> None:
    """Kill a part, wait until it runs again, kill the next; each once at least."""
    for number, command in enumerate(cycle(PARTS.values())):
        if number == kills or (done.is_set() and number >= len(PARTS)):
            return
        until(lambda c=command: part(service, c), BACK_S)
        victim = part(service, command)
        assert victim is not None
        victim.kill()
        until(lambda c=command, v=victim: is_another(part(service, c), v), BACK_S)
        done.wait(random.uniform(0.5, 4.0))


def is_another(found: psutil.Process | None, before: psutil.Process) -> bool:
    return found is not None and found.pid != before.pid


def wait_for(holds: Callable[[], bool], what: str, limit_s: float) -> None:
    deadline = time.monotonic() + limit_s
    while not holds():
        assert time.monotonic() < deadline, f"waited {limit_s} s for {what}"
        time.sleep(0.1)


def statuses(service: Service, ids: list[str]) -> dict[str, str]:
    """The status of each job, as a client reads it; the first that has not ended is waited for."""
    found: dict[str, str] = {}
    headers, wait_s = {"X-API-Key": service.first_key}, WAIT_S
    with httpx.Client(base_url=service.gateway_url, headers=headers, timeout=30, trust_env=False) as client:
        for task in ids:
            with suppress(httpx.HTTPError):
                answer = client.get(f"/v1/status/{task}", params={"wait": wait_s})
                found[task] = answer.json().get("status", answer.text)
                if found[task] not in ("COMPLETE", "FAILED"):
                    wait_s = 0
    return found


def answers(url: str) -> bool:
    with suppress(httpx.HTTPError):
        return HTTP.get(url, timeout=5).is_success
    return False


async def histories(service: Service, ids: list[str]) -> dict[str, list[str]]:
    """The states that each run went through."""
    async with PrefectClient(service.api_url, auth_string=service.auth) as client:
        return {task: [state.type.value for state in await client.read_flow_run_states(UUID(task))] for task in ids}


async def kill_while_clients_submit(service: Service, jobs: int, clients: int, kills: int) -> None:
    """Every job that was accepted ends complete, and once."""
    client = Client(service.gateway_url, service.first_key)
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
        killing.result()
    assert set(finished.values()) == {"COMPLETE"}, finished
    for health in (f"{service.gateway_url}/health/live", f"{service.api_url}/health"):
        until(lambda url=health: answers(url), BACK_S)
    completed = {task: states.count("COMPLETED") for task, states in (await histories(service, ids)).items()}
    assert set(completed.values()) == {1}, completed
    for name in PARTS:
        assert f"{name}: was killed by SIGKILL" in service.screen.read_text()


async def test_every_accepted_job_ends_complete_once(service: Service) -> None:
    await kill_while_clients_submit(service, jobs=4, clients=3, kills=len(PARTS))


@pytest.mark.soak
async def test_every_accepted_job_of_a_full_queue_ends_complete_once(tmp_path: Path) -> None:
    with start_service(tmp_path, MAX_QUEUE_DEPTH="60") as service:
        await kill_while_clients_submit(service, jobs=500, clients=20, kills=30)
