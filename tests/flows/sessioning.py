"""What tests of tasks for sessions share: servers that the settings name, with limits that let nobody wait."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import yaml

from blocks.settings import settings
from tests.blocks.iiagent.opened import QUICK

GOAL = "Write output.csv with the columns id and text."
ROWS = [{"kind": "csv_shape", "path": "output.csv", "columns": ["id", "text"], "rows": 3, "unique": ["id"]}]
"""What proves the goal, as the scenario `happy` reaches it."""

PATIENT = {"start_window_s": 10, "idle_window_s": 60}
"""For tests that kill: on a busy machine a run may be silent for longer than the others wait, and is not over."""

EXPECTED_ROWS = [
    {
        "kind": "csv_shape",
        "path": "output.csv",
        "columns": ["row", "topic", "step", "text"],
        "rows": 600,
        "unique": ["row", "topic", "step"],
    }
]
"""The same of `short_csv`."""


def write_servers(path: Path, urls: dict[str, str], *, limits: dict[str, Any] | None = None, **fields: Any) -> Path:
    """A file of servers by name; the settings of this process lead to it where AGENT_SERVERS_FILE does."""
    common = {"model_keys": ["claude@a", "claude@b"], "limits": QUICK | (limits or {}), **fields}
    listed = [{"name": name, "base_url": url, "ui_url": f"{url}/ui", **common} for name, url in urls.items()]
    path.write_text(yaml.safe_dump({"servers": listed}))
    settings.cache_clear()
    return path


class Runner:
    """Runs flows in forks of one process, so that each begins at once and may be killed.

    Args:
        process: `python -m tests.flows.run_sessions`.
    """

    def __init__(self, process: Process) -> None:
        self._process = process

    async def start(self, flow: str, **given: Any) -> int:
        """Begin a flow; gives its process id."""
        assert self._process.stdin
        self._process.stdin.write(f"{json.dumps({'flow': flow, 'given': given})}\n".encode())
        await self._process.stdin.drain()
        return int(await self._told("pid"))

    async def wait(self) -> dict[str, Any]:
        """What became of it: `signal`, or `error` with its message, or `result`."""
        return json.loads(await self._told("ended"))

    async def run(self, flow: str, **given: Any) -> dict[str, Any]:
        """What a flow returns that ends well."""
        await self.start(flow, **given)
        ended = await self.wait()
        assert "result" in ended, ended
        return ended["result"]

    async def kill(self, pid: int) -> None:
        """Kill a flow, wherever it is."""
        os.kill(pid, signal.SIGKILL)
        assert await self.wait() == {"signal": signal.SIGKILL}

    async def _told(self, what: str) -> str:
        assert self._process.stdout
        async for line in self._process.stdout:
            word, _, rest = line.decode().partition(" ")
            if word == what:
                return rest
        raise AssertionError("the runner ended")


@asynccontextmanager
async def runner() -> AsyncGenerator[Runner]:
    """A runner; its flows have the settings of this process's environment."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.flows.run_sessions", stdin=PIPE, stdout=PIPE, limit=2**24
    )
    try:
        yield Runner(process)
    finally:
        process.terminate()
        await process.wait()
