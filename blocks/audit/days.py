"""The files of a log: one a day (UTC), an index beside it, and the lock of all who write."""

import fcntl
import os
import re
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from blocks.errors import C500Error, StoreFailed, TimedOut

DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
LOCK = ".lock"
PATIENCE_S = 30.0
"""How long a writer waits for the others: longer is no queue, but a stopped process that holds the lock."""

FIRST_WAIT_S, LONGEST_WAIT_S = 0.0002, 0.005


def log_of(folder: Path, day: str) -> Path:
    """The file with a day's records."""
    return folder / f"{day}.jsonl"


def days_of(folder: Path) -> list[str]:
    """The days that have records, in order."""
    names = (path.name.removesuffix(".jsonl") for path in folder.glob("*.jsonl"))
    return sorted(name for name in names if DAY.fullmatch(name))


@contextmanager
def locked(folder: Path) -> Generator[int]:
    """Be the only writer; gives the lock file, which holds the latest day.

    The kernel frees the lock of a process that dies.

    Raises:
        TimedOut: another holds it for too long.
    """
    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        _wait(descriptor, fcntl.LOCK_EX, folder)
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def unwritten(folder: Path) -> Generator[None]:
    """Keep writers out for a moment; needs no right to write. Raises `TimedOut`."""
    try:
        descriptor = os.open(folder / LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:  # then nobody has ever written
        yield
        return
    try:
        _wait(descriptor, fcntl.LOCK_SH, folder)
        yield
    finally:
        os.close(descriptor)


def _wait(descriptor: int, kind: int, folder: Path) -> None:
    wait_s, deadline = FIRST_WAIT_S, time.monotonic() + PATIENCE_S
    while True:
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise TimedOut(
                    f"another process holds the lock of the audit log {folder} for {PATIENCE_S:g} s",
                    fix=f"see who with `fuser {LOCK}` in that folder; end it, or let it go on",
                ) from None
        time.sleep(wait_s)
        wait_s = min(wait_s * 2, LONGEST_WAIT_S)


@contextmanager
def disk_errors(folder: Path) -> Generator[None]:
    """Have errors of the disk told as `StoreFailed`."""
    try:
        yield
    except C500Error:
        raise
    except OSError as error:
        raise StoreFailed(
            f"the audit log {folder} cannot be read or written: {error.strerror or error}",
            fix="free disk space, or make the folder yours to write; nothing goes on without a record",
        ) from error
