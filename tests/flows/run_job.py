"""Run jobs, each in a process that may kill itself at a chosen step boundary.

`python -m tests.flows.run_job SOURCE` runs one; without SOURCE, as many as standard input asks for, each in a fork:
see `tests.fakes.forks.serve`. Boundaries are counted as steps begin (even) and end (odd), and printed. What is told at
the end, in the last line: the steps computed and the job's result.
"""

import asyncio
import json
import os
import signal
import sys
from typing import Any

import anyio._backends._asyncio  # noqa: F401 - all that is not used here: no fork has to import it
import prefect.engine
import prefect.flow_engine  # noqa: F401

from blocks import timeline
from flows import process_audio
from tests.fakes.forks import serve


def run(asked: dict[str, Any]) -> dict[str, Any]:
    """Run a job, or part of it: the file `source`, killed at the boundary `kill_at`."""
    kill_at: int | None = asked.get("kill_at")
    boundaries: list[tuple[str, bool]] = []

    def on_step(step: str, ended: bool) -> None:
        print(f"boundary {step} {ended}", flush=True)
        boundaries.append((step, ended))
        if kill_at is not None and len(boundaries) > kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    timeline.on_step.set(on_step)
    result = asyncio.run(process_audio(asked["source"]))
    return {"boundaries": boundaries, "result": result.model_dump(mode="json")}


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(run({"source": sys.argv[1]})))
    else:
        serve(run)
