"""Run swarms, each in a fork that may be killed.

Takes on each line of standard input the parameters of a swarm as JSON; prints `pid N` when it begins and `ended {…}`
when it has ended: with its report, its error, or the signal that killed it, and its peak of memory in KB.
"""

import asyncio
from pathlib import Path
from typing import Any

from flows import swarm
from tests.fakes.forks import serve


def run(asked: dict[str, Any]) -> dict[str, Any]:
    """Run a swarm."""
    return {"report": asyncio.run(swarm(**asked)).model_dump(mode="json")}


def peak() -> dict[str, Any]:
    """The most memory that this process has had."""
    status = Path("/proc/self/status").read_text()
    return {"peak_kb": int(status.partition("VmHWM:")[2].split()[0])}


if __name__ == "__main__":
    serve(run, peak)
