"""Real Redis and PostgreSQL servers for tests, each on a free loopback port in a folder of its own."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from tests.processes import free_port, stop, until_ready

STARTUP_S = 60
PASSWORD = "correct-horse-battery"
"""Of both servers; a test may look whether it shows up where it should not."""
POSTGRES_PROGRAMS = Path("/usr/lib/postgresql")


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """URL of a running Redis server."""
    with redis_server() as server:
        yield server.url


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """URL of a running PostgreSQL server, with the empty database `postgres`; see also `new_database`."""
    with postgres_server() as server:
        yield server.url


@dataclass
class DatabaseServer:
    """A server that a test may kill and start again, on one port, with its data in one folder.

    Attributes:
        url: Where it is, with the password.
        keeps_all: Whether what it answered is there again after it was killed.
    """

    url: str
    keeps_all: bool
    _command: Sequence[str | Path]
    _folder: Path
    _ready: Callable[[], bool]
    _killed_by: signal.Signals = signal.SIGKILL
    _process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        """Start it, until it answers."""
        log = self._folder / "server.log"
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                self._command, cwd=self._folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        until_ready(self._process, self._ready, log, STARTUP_S)

    def kill(self) -> None:
        """End it without a chance to put anything in order."""
        assert self._process is not None
        self._process.send_signal(self._killed_by)
        self._process.wait()
        self._process = None

    @contextmanager
    def frozen(self) -> Iterator[None]:
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
    def running(self) -> Iterator[Self]:
        """It runs from here on, and not after the block."""
        self.start()
        try:
            yield self
        finally:
            self.end()


@contextmanager
def redis_server(*, keeps_all: bool = False) -> Iterator[DatabaseServer]:
    """A running Redis server; it writes everything down before it answers, or keeps nothing."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.fail("redis-server is not installed: run `deployments/system-packages redis-server`")
    port = free_port()
    with server_folder("c500-redis-") as folder:
        arguments = ("--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--requirepass", PASSWORD)
        keeps = ("--appendonly", "yes", "--appendfsync", "always") if keeps_all else ("--appendonly", "no")
        server = DatabaseServer(
            f"redis://:{PASSWORD}@127.0.0.1:{port}/0",
            keeps_all,
            [program, *arguments, "--save", "", *keeps],
            folder,
            lambda: listens(port),
        )
        with server.running():
            yield server


@contextmanager
def postgres_server() -> Iterator[DatabaseServer]:
    """A running PostgreSQL server with the empty database `postgres`; its superuser is `postgres`."""
    programs = postgres_programs()
    port = free_port()
    with server_folder("c500-postgres-", owner=postgres_user()) as folder:
        data, password = folder / "data", folder / "password"
        password.write_text(PASSWORD)
        password.chmod(0o644)
        initialise = (programs / "initdb", "-D", data, "-U", "postgres", "-A", "scram-sha-256", "--pwfile", password)
        made = subprocess.run([*as_postgres_user(), *initialise, "--no-sync"], capture_output=True, text=True)
        assert made.returncode == 0, made.stderr
        options = ("-D", data, "-p", str(port), "-h", "127.0.0.1", "-k", folder, "-F", "-c", "max_connections=200")
        server = DatabaseServer(
            f"postgresql://postgres:{PASSWORD}@127.0.0.1:{port}/postgres",
            True,
            [*as_postgres_user(), programs / "postgres", *options],
            folder,
            lambda: accepts(programs, port),
            # It aborts its processes at once and recovers at its next start, as after a crash; after SIGKILL they
            # would live on for a while and keep the next one from starting.
            signal.SIGQUIT,
        )
        with server.running():
            yield server


def new_database(postgres_url: str) -> str:
    """URL of a new, empty database on that server."""
    name = f"test_{uuid4().hex[:12]}"
    command = [postgres_programs() / "psql", postgres_url, "-q", "-c", f"CREATE DATABASE {name}"]
    subprocess.run(command, check=True, capture_output=True)
    return urlsplit(postgres_url)._replace(path=f"/{name}").geturl()


def postgres_programs() -> Path:
    """The folder of `initdb` and `postgres`, of the newest version installed."""
    versions = [folder for folder in POSTGRES_PROGRAMS.glob("*/bin") if (folder / "initdb").exists()]
    if not versions:
        pytest.fail("PostgreSQL is not installed: run `deployments/system-packages postgresql`")
    return max(versions, key=lambda folder: int(folder.parent.name))


def postgres_user() -> str | None:
    """The user PostgreSQL runs as when the tests run as root, which it refuses to."""
    return "postgres" if os.geteuid() == 0 else None


def as_postgres_user() -> list[str]:
    """What becomes that user; it keeps the process id, so that we can stop what we started."""
    user = postgres_user()
    return ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "--"] if user else []


@contextmanager
def server_folder(prefix: str, owner: str | None = None) -> Iterator[Path]:
    """A folder directly under /tmp: PostgreSQL's user must reach it, and a socket's path must be short."""
    with tempfile.TemporaryDirectory(prefix=prefix, dir="/tmp", ignore_cleanup_errors=True) as name:
        if owner:
            user = pwd.getpwnam(owner)
            os.chown(name, user.pw_uid, user.pw_gid)
        yield Path(name)


def accepts(programs: Path, port: int) -> bool:
    """Whether PostgreSQL takes connections; it listens before it does."""
    asked = subprocess.run([programs / "pg_isready", "-h", "127.0.0.1", "-p", str(port)], capture_output=True)
    return asked.returncode == 0


def listens(port: int) -> bool:
    """Whether something listens on that port of this machine."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
