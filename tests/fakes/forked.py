"""Forks of one process, in which work is done and may be killed; see `tests.fakes.forks.serve`, which is their side."""

import json
import os
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.processes import stop

ROOT = Path(__file__).parents[2]


class Forks:
    """Asks a process for work, one piece after the other.

    Args:
        process: Runs a program that serves.
        follows: Whether a fork takes over the environment that this process has when the work is asked for.

    Attributes:
        printed: Lines that the latest work printed.
    """

    def __init__(self, process: "subprocess.Popen[str]", *, follows: bool) -> None:
        self._process, self._follows = process, follows
        self.printed: list[str] = []

    def start(self, **asked: Any) -> int:
        """Begin work; gives the id of the process that does it."""
        assert self._process.stdin
        environment = {"environment": dict(os.environ)} if self._follows else {}
        self.printed = []
        self._process.stdin.write(json.dumps(environment | asked) + "\n")
        self._process.stdin.flush()
        return int(self._told("pid"))

    def wait(self) -> dict[str, Any]:
        """What became of it: what the program gave, `error` with its code and message, or the `signal` of its death."""
        return json.loads(self._told("ended"))

    def run(self, **asked: Any) -> dict[str, Any]:
        """Have work done to its end; returns as `wait`."""
        self.start(**asked)
        return self.wait()

    def _told(self, what: str) -> str:
        assert self._process.stdout
        for line in self._process.stdout:
            word, _, rest = line.rstrip("\n").partition(" ")
            if word == what:
                return rest
            self.printed.append(line.rstrip("\n"))
        raise AssertionError("the process has ended")


@contextmanager
def forks_of(module: str, *, follows: bool = True, **environment: str) -> Generator[Forks]:
    """Run `python -m` a program that serves.

    Args:
        module: Its name.
        follows: See `Forks`.
        environment: What it has beside the environment of this process.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", module],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
    )
    try:
        yield Forks(process, follows=follows)
    finally:
        stop(process)  # type: ignore[arg-type]
