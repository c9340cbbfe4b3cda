"""A real gateway for the tests: a process of its own, against the session's Prefect server."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from blocks.keys import ApiKey, KeyRing, Scope
from blocks.store.local import LocalFiles
from tests.conftest import ROOT

STARTUP_S = 60


@dataclass
class Gateway:
    """A running gateway.

    Attributes:
        url: Its address, without a slash at the end.
        secret: A key with all scopes.
        process: The process.
    """

    url: str
    secret: str
    process: "subprocess.Popen[bytes]"

    def client(self, secret: str | None = None) -> httpx.Client:
        """An HTTP client that sends a key; all scopes unless another is given."""
        headers = {"X-API-Key": secret or self.secret}
        return httpx.Client(base_url=self.url, headers=headers, timeout=60, trust_env=False)


@pytest.fixture
def gateway(prefect_server: str, tmp_path: Path) -> Iterator[Gateway]:
    """A gateway with the store and settings of this test and an API key with all scopes."""
    running = start_gateway(prefect_server, log=tmp_path / "gateway.log")
    yield running
    running.process.terminate()
    running.process.wait(timeout=30)


@dataclass
class SharedGateway(Gateway):
    """A gateway that several tests use.

    Attributes:
        files: Its store.
        logs: Folder of its log.
        keys: Makes keys for it.
    """

    files: LocalFiles
    logs: Path
    keys: KeyRing

    def key(self, *scopes: Scope, **limits: int) -> tuple[str, ApiKey]:
        """A new key that the gateway knows already."""
        secret, key = self.keys.create("a test", scopes, **limits)
        until(lambda: self.client(secret).get(f"{self.url}/v1/models").status_code != 401)
        return secret, key


@pytest.fixture(scope="module")
def shared_gateway(running_prefect_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedGateway]:
    """A gateway with a store of its own for all tests of a module: it takes seconds to start."""
    folder = tmp_path_factory.mktemp("gateway")
    running = start_gateway(
        running_prefect_server,
        log=folder / "gateway.log",
        PYTHONPATH=str(ROOT),
        AUDIO_DIR=str(folder / "store"),
        LOG_DIR=str(folder),
    )
    files = LocalFiles(folder / "store")
    yield SharedGateway(**vars(running), files=files, logs=folder, keys=KeyRing(files))
    running.process.terminate()
    running.process.wait(timeout=30)


def start_gateway(prefect_url: str, *, log: Path, port: int | None = None, **environment: str) -> Gateway:
    """Start a gateway and wait until it is live."""
    port = port or free_port()
    secret = environment.setdefault("SECRET_API_KEY", "test-key-with-all-scopes-0123456789abcdef")
    process = subprocess.Popen(
        [sys.executable, "-m", "deployments.gateway"],
        env={**os.environ, "PREFECT_API_URL": prefect_url, "API_PORT": str(port), **environment},
        stdout=log.open("ab"),
        stderr=subprocess.STDOUT,
    )
    url = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + STARTUP_S
    while not live(url):
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            raise AssertionError(f"the gateway did not start:\n{log.read_text()[-3000:]}")
        time.sleep(0.05)
    return Gateway(url=url, secret=secret, process=process)


def live(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health/live", timeout=5, trust_env=False).is_success
    except httpx.HTTPError:
        return False


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def until(true: Callable[[], bool], deadline_s: float = 15) -> None:
    """Wait for a condition that must come."""
    deadline = time.monotonic() + deadline_s
    while not true():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.1)
