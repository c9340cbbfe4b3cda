"""The folder of the service: its secret, its lock, and where its parts can be reached.

Light to import: every command of ours looks here for a running service.
"""

import fcntl
import os
import time
from collections.abc import Generator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from secrets import token_urlsafe
from typing import TextIO

from pydantic import ValidationError

from blocks.errors import Conflict, StoreFailed
from blocks.model import Frozen
from blocks.settings import settings
from blocks.whole_file import write_whole

SERVER_AUTH = "PREFECT_SERVER_API_AUTH_STRING"
CLIENT_AUTH = "PREFECT_API_AUTH_STRING"
AUTH_USER = "c500"

LOOKED_AT_S = 1.0
"""Seconds for which the lock may be held by commands that only look whether a service runs."""


class Running(Frozen):
    """A service that was started, and has not said that it ended.

    Attributes:
        pid: The supervisor.
        api_url: The Prefect server's API.
        gateway_url: The gateway, without a slash at the end.
        pools: Work pools with workers of its own.
        store: Where its store is.
    """

    pid: int
    api_url: str
    gateway_url: str
    pools: tuple[str, ...] = ()
    store: str | None = None
    started_at: datetime


def service_dir() -> Path:
    """The folder of the service, for this user only."""
    return settings().service_dir.expanduser().absolute()


def logs_dir() -> Path:
    """Where the parts' logs are, `<part>.log`."""
    return settings().log_dir.expanduser() / "service"


def auth_for(api_url: str) -> str | None:
    """What a client shows to the Prefect server of that URL, as far as the environment and our own service say.

    The service's secret goes to the service's server only.
    """
    if given := os.environ.get(CLIENT_AUTH):
        return given
    service = read_running()
    return _kept_auth() if service and service.api_url == api_url else None


def make_auth_string() -> str:
    """The secret of the service's Prefect server: that of the environment, or one made once and kept for its owner."""
    if given := os.environ.get(SERVER_AUTH) or _kept_auth():
        return given
    with (prepare() / "auth.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if kept := _kept_auth():  # somebody else made it meanwhile
            return kept
        secret = f"{AUTH_USER}:{token_urlsafe(32)}"
        write_whole(_auth_file(), f"{secret}\n".encode("ascii"))
        return secret


def prepare() -> Path:
    """Make the folder, closed to others.

    Raises:
        StoreFailed: it cannot be made.
    """
    folder = service_dir()
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder.chmod(0o700)
    except OSError as error:
        raise StoreFailed(
            f"{folder} cannot be used: {error.strerror}", fix="set SERVICE_DIR to a folder of yours"
        ) from error
    return folder


def read_running() -> Running | None:
    """The service of this folder, if its supervisor lives: if it holds its lock, since another may have its number."""
    try:
        found = Running.model_validate_json(_state_file().read_bytes())
        return found if _held() else None
    except (FileNotFoundError, ValidationError):
        return None


def write_running(running: Running) -> None:
    """Tell the other commands where the service is."""
    write_whole(_state_file(), running.model_dump_json(indent=2).encode(), sync=False)


def forget_running() -> None:
    """Tell them that it ended."""
    _state_file().unlink(missing_ok=True)


@contextmanager
def only_one() -> Generator[None]:
    """Hold the service's lock; the system takes it back when this process ends, however it does.

    Raises:
        Conflict: another process holds it.
    """
    prepare()
    with _lock_file().open("w") as lock:
        deadline = time.monotonic() + LOOKED_AT_S
        while not _take(lock, fcntl.LOCK_EX):
            if time.monotonic() > deadline:
                raise Conflict("another `c500 up` runs with this SERVICE_DIR", fix="stop it first")
            time.sleep(0.02)
        yield


def _held() -> bool:
    """Whether a supervisor holds the lock. Looking takes a shared one for a moment."""
    with _lock_file().open() as lock:
        return not _take(lock, fcntl.LOCK_SH)


def _take(lock: TextIO, how: int) -> bool:
    try:
        fcntl.flock(lock, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _kept_auth() -> str | None:
    """The secret that was kept; an empty file is none."""
    try:
        return _auth_file().read_text(encoding="ascii").strip() or None
    except FileNotFoundError:
        return None


def _lock_file() -> Path:
    return service_dir() / "lock"


def _auth_file() -> Path:
    return service_dir() / "auth"


def _state_file() -> Path:
    return service_dir() / "service.json"
