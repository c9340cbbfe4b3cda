"""Flows that a worker of the tests runs, from a copy in the test's own folder."""

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from prefect import flow
from prefect.settings import PREFECT_LOGGING_LEVEL

VERSION = 1

seen: list[int] = []
"""What a run leaves behind in its process."""


@flow
async def report(out: str) -> None:
    """Write down what the process of this run is like, then soil it."""
    print("a line of the run")
    facts: dict[str, Any] = {
        "pid": os.getpid(),
        "session": os.getsid(0),
        "folder": str(Path.cwd()),
        "environment": dict(os.environ),
        "path": sys.path,
        "seen": list(seen),
        "random": random.random(),
        "version": VERSION,
        "level": PREFECT_LOGGING_LEVEL.value(),
        "sigint_ignored": signal.getsignal(signal.SIGINT) == signal.SIG_IGN,
        "parent": os.getppid(),
        "parent_command": Path(f"/proc/{os.getppid()}/cmdline").read_text(),
    }
    write(out, facts)
    seen.append(os.getpid())
    os.environ["LEFT_BEHIND"] = "1"
    Path("left").write_text("behind")


@flow
async def end_with(code: int) -> None:
    """End this process: by a signal when negative."""
    if code < 0:
        os.kill(os.getpid(), -code)
    os._exit(code)


@flow
async def hang(out: str) -> None:
    """Start a process in this group and one in a session of its own, then wait for ever."""
    stay = [sys.executable, "-c", "import signal; signal.pause()"]
    children = [subprocess.Popen(stay), subprocess.Popen(stay, start_new_session=True)]  # noqa: ASYNC220
    write(out, {"pids": [os.getpid(), *(child.pid for child in children)]})
    await asyncio.Event().wait()


@flow
async def leave(out: str) -> None:
    """End well, but leave a process behind."""
    child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])  # noqa: ASYNC220
    write(out, {"pids": [child.pid]})


@flow
async def until(out: str, there: str) -> None:
    """Wait until a file is there."""
    write(out, {"pids": [os.getpid()]})
    while not Path(there).exists():  # noqa: ASYNC110
        await asyncio.sleep(0.1)


@flow(timeout_seconds=1)
async def late() -> None:
    """Take longer than allowed."""
    await asyncio.Event().wait()


def note_hook(flow: Any, flow_run: Any, state: Any) -> None:
    """Write down which hook ran, and in which process."""
    del flow
    write(flow_run.parameters["out"] + ".hook", {"state": state.name, "pid": os.getpid()})


@flow(on_cancellation=[note_hook], on_crashed=[note_hook])
async def hooked(out: str) -> None:
    """Wait for ever, with hooks."""
    write(out, {"pids": [os.getpid()]})
    await asyncio.Event().wait()


def write(out: str, facts: dict[str, Any]) -> None:
    """Write the facts in one step."""
    new = Path(f"{out}.new")
    new.write_text(json.dumps(facts))
    new.rename(out)
