"""The temporary Prefect server: started when none runs, gone when its parent is, however that ends."""

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import psutil
import pytest

from blocks.errors import EngineUnavailable
from deployments.server import TUNING, running_server, use_server

HOLD = """
from deployments.server import temporary_server
with temporary_server() as url:
    print(url, flush=True)
    input()
"""

GARBAGE = """
import gc, threading
from deployments import prefect_server
prefect_server.COLLECT_EVERY_S = 0.01
prefect_server.mend_sqlite()
collected = threading.Event()
class Cycle:
    def __init__(self):
        self.me = self
    def __del__(self):
        print(threading.current_thread().name)
        collected.set()
Cycle()
assert not gc.isenabled()
assert collected.wait(60)
"""


def test_a_running_server_is_used(prefect_server: str) -> None:
    with use_server() as url:
        assert url == prefect_server


def test_a_configured_server_that_does_not_answer_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    with pytest.raises(EngineUnavailable, match="PREFECT_API_URL"):
        running_server()


def test_no_server_of_ours_spins() -> None:
    # Prefect 3.8 sleeps int(interval) seconds: a fraction would be a loop that burns a core.
    assert int(float(TUNING["PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL"])) >= 1


async def test_many_clients_that_write_at_once_are_all_served(prefect_server: str) -> None:
    # Without `deployments.prefect_server` some are refused with 503, or all wait for a minute.
    async with httpx.AsyncClient(base_url=prefect_server, timeout=50, trust_env=False) as client:
        flow = (await client.post("/flows/", json={"name": "crowd"})).json()["id"]
        named = {"name": "crowd", "flow_id": flow, "enforce_parameter_schema": False}
        deployment = (await client.post("/deployments/", json=named)).json()["id"]
        path = f"/deployments/{deployment}/create_flow_run"
        answers = await asyncio.gather(*(client.post(path, json={"name": str(number)}) for number in range(30)))
    assert {answer.status_code for answer in answers} == {201}


def test_garbage_is_collected_beside_the_event_loop() -> None:
    # A cursor that the loop itself collected would wait there for the write lock: see `deployments.prefect_server`.
    run = subprocess.run([sys.executable, "-c", GARBAGE], capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    assert run.stdout.split("\n")[0] == "garbage collector"


def test_the_server_ends_with_a_killed_parent() -> None:
    parent = subprocess.Popen([sys.executable, "-c", HOLD], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True)
    assert parent.stdout
    url = parent.stdout.readline().strip()
    servers = psutil.Process(parent.pid).children()
    folder = Path(servers[0].cmdline()[-1])
    assert (folder / "prefect.db").exists()
    assert httpx.get(f"{url}/health").is_success
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    _, alive = psutil.wait_procs(servers, timeout=30)
    assert not alive
    assert not folder.exists()
