"""A Redis server that a test may kill and start again."""

import shutil
import signal
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.databases import listens, server_folder
from tests.processes import free_port, stop, until_ready

STARTUP_S = 30


class RedisServer:
    """One server, on one port.

    Args:
        folder: Where it keeps its data.
        persistent: Whether it writes everything down before it answers; else it keeps nothing.
    """

    def __init__(self, folder: Path, *, persistent: bool) -> None:
        self._folder, self._port = folder, free_port()
        self.persistent = persistent
        self._keeps = ("--appendonly", "yes", "--appendfsync", "always") if persistent else ("--appendonly", "no")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it is."""
        return f"redis://127.0.0.1:{self._port}/0"

    def start(self) -> None:
        """Start it, until it answers."""
        program = shutil.which("redis-server")
        assert program, "redis-server is not installed: run `deployments/system-packages redis-server`"
        log = self._folder / "redis.log"
        command = [program, "--port", str(self._port), "--bind", "127.0.0.1", "--save", "", *self._keeps]
        with log.open("wb") as output:
            self._process = subprocess.Popen([*command, "--dir", self._folder], stdout=output, stderr=output)
        until_ready(self._process, lambda: listens(self._port), log, STARTUP_S)

    def kill(self) -> None:
        """End it with SIGKILL."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._process = None

    @contextmanager
    def frozen(self) -> Generator[None]:
        """It accepts connections and does not answer."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def end(self) -> None:
        """Stop it if it runs."""
        if self._process is not None:
            stop(self._process)


@contextmanager
def redis_to_kill(*, persistent: bool = False) -> Generator[RedisServer]:
    """A running server."""
    with server_folder("c500-redis-") as folder:
        server = RedisServer(folder, persistent=persistent)
        server.start()
        try:
            yield server
        finally:
            server.end()


@pytest.fixture(params=[False, True], ids=["forgetful", "persistent"])
def server(request: pytest.FixtureRequest) -> Generator[RedisServer]:
    """A server to kill, that keeps nothing or everything."""
    with redis_to_kill(persistent=request.param) as made:
        yield made
