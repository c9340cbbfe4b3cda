"""The temporary Prefect server: started when none runs, gone when its parent is, however that ends."""

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
