"""A turn whose process is killed at every point of it: `python -m tests.blocks.iiagent.killed_session URL STEP`.

For each point a session of its own is begun in a process that kills itself there, and gone on with in another; a line
of `told.jsonl` tells of each. It ends with the point that no turn reaches.
"""

import asyncio
import importlib
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from blocks.iiagent import wire
from blocks.iiagent.state import SessionState
from tests.blocks.iiagent.opened import session_at

TASK = "Write output.csv."
TOLD = Path("told.jsonl")


async def run(url: str, folder: Path, kill_at: int | None) -> None:
    """One turn; killed at a point: an event, or before or after a write of the state."""
    passed = 0

    def point(*_: object) -> None:
        nonlocal passed
        passed += 1
        if passed == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    write = wire.write_state

    def write_between(to: Path, state: SessionState) -> SessionState:
        point()
        written = write(to, state)
        point()
        return written

    wire.write_state = write_between
    async with session_at(url, folder, on_event=point) as session:
        before = session.unfinished
        turn = await session.turn(TASK, key="goal")
        told: dict[str, Any] = {"session": session.session_id, "unfinished": before, "turn": turn.model_dump()}
    TOLD.write_text(f"{TOLD.read_text() if TOLD.exists() else ''}{json.dumps(told)}\n")


def in_fork(url: str, folder: Path, kill_at: int | None) -> bool:
    """Whether the turn came to its end there."""
    child = os.fork()
    if not child:
        status = 1
        try:
            asyncio.run(run(url, folder, kill_at))
            status = 0
        finally:
            os._exit(status)
    _, ended = os.waitpid(child, 0)
    assert ended == 0 or os.WTERMSIG(ended) == signal.SIGKILL, ended
    return ended == 0


def main(url: str, step: int) -> None:
    """Kill at every point, or at every second, third, …"""
    # Imported once, and not in each child again.
    for name in ("httpx", "websockets.asyncio.client", "anyio._backends._asyncio", "blocks.settings"):
        importlib.import_module(name)
    kill_at = 1
    while not in_fork(url, Path(f"killed-{kill_at}"), kill_at):
        assert in_fork(url, Path(f"killed-{kill_at}"), None)
        kill_at += step


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
