"""Ports, waiting and stopping: what tests with processes of their own share."""

import asyncio
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from secrets import randbelow

import httpx

POLL_S = 0.05
DEADLINE_S = 30
TAIL = 3000
"""Characters of a log that a failure shows."""

HTTP = httpx.Client(trust_env=False, timeout=60, limits=httpx.Limits(max_keepalive_connections=0))
"""One for all: making a client loads all certificates, which takes longer than a call."""


def free_port() -> int:
    """A port nobody listens on now.

    Not one that the system hands out by itself: until it is listened on, a connection of another test could get it.
    """
    while True:
        port = 10_000 + randbelow(22_000)
        with socket.socket() as listener, suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port


def until(true: Callable[[], object], deadline_s: float = DEADLINE_S) -> None:
    """Wait for a condition that must come."""
    deadline = time.monotonic() + deadline_s
    while not true():
        if time.monotonic() > deadline:
            raise AssertionError(f"it did not come true within {deadline_s} s")
        time.sleep(POLL_S)


async def eventually(true: Callable[[], object], deadline_s: float = DEADLINE_S) -> None:
    """Wait for a condition that must come, without stopping the event loop."""
    async with asyncio.timeout(deadline_s):
        while not true():  # noqa: ASYNC110 - other processes cannot set an event
            await asyncio.sleep(POLL_S)


def until_ready(process: "subprocess.Popen[bytes]", ready: Callable[[], bool], log: Path, deadline_s: float) -> None:
    """Wait until a process that was started can be used; one that does not get there is killed.

    Raises:
        AssertionError: it ended, or time is up; with the end of its log.
    """
    deadline = time.monotonic() + deadline_s
    while not ready():
        ended = process.poll() is not None
        if ended or time.monotonic() > deadline:
            process.kill()
            process.wait()
            how = f"ended with exit status {process.returncode}" if ended else f"was not ready within {deadline_s} s"
            raise AssertionError(f"{process.args!r:.300} {how}:\n{log.read_text(errors='replace')[-TAIL:]}")
        time.sleep(POLL_S)


def stop(process: "subprocess.Popen[bytes]", within_s: float = DEADLINE_S) -> None:
    """End a process politely.

    Raises:
        AssertionError: it did not end in time, and was killed.
    """
    process.terminate()
    try:
        process.wait(timeout=within_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise AssertionError(f"{process.args!r:.300} did not stop within {within_s} s") from None
