"""A Prefect server for commands and tests that find none running.

Prefect starts a temporary server by itself too, but shares one SQLite file between all of them,
gives up after 20 s (a fresh database needs 18 s on a small machine, measured) and leaves the server
behind when its parent is killed. This one has its own copy of a migrated database, waits as long as
the server lives, and ends with its parent whatever happens to it.
"""

import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from functools import cache
from http import HTTPStatus
from importlib.metadata import version
from pathlib import Path

import httpx

from blocks.environment import variables
from blocks.errors import EngineUnavailable, NotAllowed
from blocks.settings import HOME
from blocks.store.local import LocalFiles
from deployments.service.home import CLIENT_AUTH, auth_for, read_running

DEFAULT_API = "http://127.0.0.1:4200/api"
STARTUP_TIMEOUT_S = 120
POLL_S = 0.05

TUNING = {
    # Without these the server records task runs one by one and stalls the next flow; see DESIGN, measured.
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "200",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_READ_BATCH_SIZE": "200",
    # A whole number: Prefect 3.8 cuts the fraction off, and 0.5 became sleep(0), a loop that burns a core.
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
}
"""Environment of every Prefect server we start."""

TEMPORARY = TUNING | {
    "PREFECT_UI_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_SCHEDULER_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_LATE_RUNS_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_FOREMAN_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "false",
    "PREFECT_SERVER_LOGGING_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_SERVER_LEVEL": "CRITICAL",
}

NOT_INHERITED = ("PREFECT_API", "PREFECT_SERVER_", "PREFECT_MESSAGING", "PREFECT_REDIS")
"""Variables of other servers: a secret, a database or a Redis that the temporary one must not use."""

PROCESS = """
import os, shutil, sys, threading
def end_with_parent():
    sys.stdin.buffer.read()
    shutil.rmtree(sys.argv[2], ignore_errors=True)
    os._exit(0)
threading.Thread(target=end_with_parent, daemon=True).start()
from deployments.prefect_server import mend_sqlite
mend_sqlite()
import uvicorn
uvicorn.run("prefect.server.api.server:create_app", factory=True, host="127.0.0.1",
            port=int(sys.argv[1]), log_level="critical", timeout_graceful_shutdown=5)
"""


@contextmanager
def use_server() -> Generator[str]:
    """Point Prefect at a running server or, when there is none, at a temporary one.

    Call before `prefect` is imported: it sets `PREFECT_API_URL` and `PREFECT_API_AUTH_STRING`.

    Yields:
        The API's URL.

    Raises:
        EngineUnavailable: `PREFECT_API_URL` is set, but no server answers there.
        NotAllowed: it does, but refuses us.
    """
    if url := running_server():
        with variables({"PREFECT_API_URL": url} | client_auth(url)):
            yield url
        return
    with temporary_server() as url, variables({"PREFECT_API_URL": url}):
        yield url


def running_server() -> str | None:
    """The API's URL of the server that is configured, of our own service, or at the default address.

    Raises:
        EngineUnavailable: `PREFECT_API_URL` is set, but no server answers there.
        NotAllowed: it does, but refuses us.
    """
    configured = _configured_url()
    if configured:
        if not _healthy(configured):
            raise EngineUnavailable(
                f"no Prefect server answers at PREFECT_API_URL={configured}",
                fix="start it, or unset PREFECT_API_URL to work with a temporary one",
            )
        if not _admits(configured):
            raise NotAllowed(
                f"the Prefect server at {configured} wants another PREFECT_API_AUTH_STRING",
                fix="set it to what the server's PREFECT_SERVER_API_AUTH_STRING is (`c500 up` keeps it in SERVICE_DIR)",
            )
        return configured
    service = read_running()
    for url in (service.api_url if service else None, DEFAULT_API):
        if url and _healthy(url) and _admits(url):
            return url
    return None


def client_auth(url: str) -> dict[str, str]:
    """What a client needs in its environment to be admitted by the server of that URL."""
    secret = auth_for(url)
    return {CLIENT_AUTH: secret} if secret else {}


@contextmanager
def temporary_server(extra: dict[str, str] | None = None) -> Generator[str]:
    """Run a server of our own on a free loopback port and yield its API's URL.

    Args:
        extra: More environment variables for the server.
    """
    with tempfile.TemporaryDirectory(prefix="c500-prefect-") as folder:
        database = Path(folder) / "prefect.db"
        template = migrated_template()
        if template.exists():
            shutil.copyfile(template, database)
        with _serve(database, extra or {}) as url:
            if not template.exists():
                _keep_as_template(database, template)
            try:
                yield url
            finally:
                _drain()


@contextmanager
def _serve(database: Path, extra: dict[str, str]) -> Generator[str]:
    port = _free_port()
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(NOT_INHERITED)},
        **TEMPORARY,
        "PREFECT_HOME": str(database.parent),
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{database}",
        **extra,
    }
    with (database.parent / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", PROCESS, str(port), str(database.parent)],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            env=environment,
            # Ctrl-C goes to the whole process group; without its server the process of the flow would hang at its end.
            start_new_session=True,
        )
    try:
        url = f"http://127.0.0.1:{port}/api"
        _wait_until_healthy(url, process, database.parent / "server.log")
        yield url
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdin:
            process.stdin.close()


def _wait_until_healthy(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + STARTUP_TIMEOUT_S
    while not _healthy(url):
        if process.poll() is not None or time.monotonic() > deadline:
            tail = log.read_text(errors="replace").strip().splitlines()[-1:]
            raise EngineUnavailable(
                f"the temporary Prefect server did not start: {' '.join(tail) or 'no output'}",
                fix="run `c500 doctor`, or start `prefect server start` and try again",
            )
        time.sleep(POLL_S)


def migrated_template() -> Path:
    """An empty database with all tables, kept by the first temporary server; making the tables takes 12 s."""
    return HOME.expanduser() / "prefect" / f"empty-{version('prefect')}.db"


def _keep_as_template(database: Path, template: Path) -> None:
    """Keep the migrated database: the next temporary server starts in a third of the time."""
    files = LocalFiles(template.parent)
    with files.scratch("prefect.db") as copy:
        with sqlite3.connect(database) as source, sqlite3.connect(copy) as target:
            source.backup(target)
        files.put_file(template.name, copy)


def _drain() -> None:
    """Let Prefect send what it still holds back while its server is there to take it."""
    if "prefect" in sys.modules:
        from prefect.events.worker import EventsWorker
        from prefect.logging.handlers import APILogHandler

        APILogHandler().flush()
        EventsWorker.drain_all()


def _configured_url() -> str | None:
    return os.environ.get("PREFECT_API_URL") or _profile("PREFECT_API_URL")


def _profile(setting: str) -> str | None:
    """A setting from the user's Prefect profile or prefect.toml."""
    home = Path(os.environ.get("PREFECT_HOME", "~/.prefect")).expanduser()
    if not (home / "profiles.toml").exists() and not Path("prefect.toml").exists():
        return None
    import prefect.settings  # 1.3 s to import: only when there is a profile to read

    value = getattr(prefect.settings, setting).value()
    return value.get_secret_value() if hasattr(value, "get_secret_value") else value


def _healthy(url: str) -> bool:
    return _answers(f"{url}/health") == HTTPStatus.OK


def _asks_for_auth(url: str) -> bool:
    return _answers(f"{url}/admin/version") == HTTPStatus.UNAUTHORIZED


def _admits(url: str) -> bool:
    """Whether the server takes our auth string; one that wants something else than such a string decides for itself."""
    if "PREFECT_API_KEY" in os.environ or not _asks_for_auth(url):
        return True
    user, _, password = (auth_for(url) or _profile("PREFECT_API_AUTH_STRING") or "").partition(":")
    return _answers(f"{url}/admin/version", auth=(user, password)) != HTTPStatus.UNAUTHORIZED


def _answers(url: str, auth: tuple[str, str] | None = None) -> int | None:
    """Status of a GET; None when nobody answers."""
    try:
        return _client().get(url, auth=auth).status_code
    except httpx.HTTPError:
        return None


@cache
def _client() -> httpx.Client:
    """One for all questions: making a client reads all certificates, at every poll.

    It keeps no connection: the server would have to be rid of it before it can end.
    """
    return httpx.Client(timeout=2, trust_env=False, limits=httpx.Limits(max_keepalive_connections=0))


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
