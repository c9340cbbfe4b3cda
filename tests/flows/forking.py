"""A process whose forks run flows and may be killed: what they need is imported once."""

import json
import os
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from tests.processes import stop


class Forks:
    """A program that serves; see `tests.fakes.forks.serve`."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def run(self, **asked: Any) -> tuple[dict[str, Any], list[str]]:
        """Have work done to its end, in this process's environment: its outcome, and what it printed before."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(asked | {"environment": dict(os.environ)}) + "\n")
        self._process.stdin.flush()
        printed: list[str] = []
        for line in self._process.stdout:
            if line.startswith("ended "):
                return json.loads(line.removeprefix("ended ")), printed
            printed.append(line.rstrip("\n"))
        raise AssertionError("the runner ended")


@contextmanager
def forks_of(module: str, prefect_url: str) -> Generator[Forks]:
    """Run `python -m` such a program.

    Args:
        module: Its name.
        prefect_url: Prefect's address, of all its forks.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", module],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PREFECT_API_URL": prefect_url},
    )
    try:
        yield Forks(process)
    finally:
        stop(process)  # type: ignore[arg-type]
