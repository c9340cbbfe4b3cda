"""Real Redis and PostgreSQL servers for tests, each on a free loopback port in a folder of its own."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
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
    with redis_server() as url:
        yield url


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """URL of a running PostgreSQL server, with the empty database `postgres`; see also `new_database`."""
    with postgres_server() as url:
        yield url


@contextmanager
def redis_server() -> Iterator[str]:
    """A Redis server that keeps nothing; with a password."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.fail("redis-server is not installed: run `deployments/system-packages redis-server`")
    port = free_port()
    with server_folder("c500-redis-") as folder:
        arguments = ("--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--requirepass", PASSWORD)
        with running([program, *arguments, "--save", "", "--appendonly", "no"], folder, lambda: listens(port)):
            yield f"redis://:{PASSWORD}@127.0.0.1:{port}/0"


@contextmanager
def postgres_server() -> Iterator[str]:
    """A PostgreSQL server with the empty database `postgres`; its superuser `postgres` has a password."""
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
        with running([*as_postgres_user(), programs / "postgres", *options], folder, lambda: accepts(programs, port)):
            yield f"postgresql://postgres:{PASSWORD}@127.0.0.1:{port}/postgres"


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


@contextmanager
def running(command: list[str | Path], folder: Path, ready: Callable[[], bool]) -> Iterator[None]:
    """Run a server until the block ends."""
    log = folder / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        until_ready(process, ready, log, STARTUP_S)
        yield
    finally:
        stop(process)


def accepts(programs: Path, port: int) -> bool:
    """Whether PostgreSQL takes connections; it listens before it does."""
    asked = subprocess.run([programs / "pg_isready", "-h", "127.0.0.1", "-p", str(port)], capture_output=True)
    return asked.returncode == 0


def listens(port: int) -> bool:
    """Whether something listens on that port of this machine."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
