"""`python -m tests.blocks.limits.crowd COUNT MODULE FUNCTION …`: so many processes, forked after imports, do the same.

They begin when all are there. Each line printed is JSON: first the process ids, then what the processes say.
"""

import asyncio
import importlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager, suppress
from typing import Any

from blocks.limits import open_limiter
from blocks.limits.limit import Reservation
from tests.blocks.limits.worlds import limit, option

BUDGET = limit("budget", 2, "calendar", period="ever")
HELD = limit("held", 1, window_s=60)

Act = Callable[..., Coroutine[Any, Any, object]]


@contextmanager
def crowd(count: int, act: Act, *arguments: object) -> Generator["subprocess.Popen[str]"]:
    """A crowd whose output is a pipe; none of it is left at the end of the block.

    Args:
        count: How many processes.
        act: What each does, given its number and the arguments as text.
        arguments: Of the act.
    """
    command = [sys.executable, "-m", __name__, str(count), act.__module__, act.__name__, *map(str, arguments)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        with process:
            yield process
            process.wait()
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def lines(process: "subprocess.Popen[str]", count: int) -> list[Any]:
    """The next lines that a crowd says."""
    assert process.stdout is not None
    return [json.loads(process.stdout.readline()) for _ in range(count)]


async def ask_once(_: int, url: str) -> bool:
    """Ask for a part of a budget; whether it was granted."""
    limiter = open_limiter(url)
    answer = await limiter.reserve([option("call", (BUDGET, 1))])
    await limiter.close()
    return isinstance(answer, Reservation)


async def hold(_: int, url: str, lease_s: str) -> None:
    """Hold all there is until killed."""
    answer = await open_limiter(url).reserve([option("call", (HELD, 1))], lease_s=float(lease_s))
    say(isinstance(answer, Reservation))
    await asyncio.Event().wait()


def say(what: object) -> None:
    """Print a line that no other process gets into."""
    os.write(1, f"{json.dumps(what)}\n".encode())


def main(count: str, module: str, function: str, *arguments: str) -> None:
    """Fork, begin, wait until all have ended."""
    act: Act = getattr(importlib.import_module(module), function)
    waiting, go = os.pipe()
    pids: list[int] = []
    for number in range(int(count)):
        pid = os.fork()
        if pid == 0:
            os.close(go)
            os.read(waiting, 1)
            say(asyncio.run(act(number, *arguments)))
            os._exit(0)
        pids.append(pid)
    say(pids)
    os.close(go)
    for pid in pids:
        os.waitpid(pid, 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
