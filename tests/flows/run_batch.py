"""Run batches, each in a fork that kills itself as a chosen step begins; see `tests.fakes.forks.serve`.

Prints «began STEP» for every step computed; tells the report.
"""

import asyncio
import os
import signal
from typing import Any

import anyio._backends._asyncio  # noqa: F401 - all that is not used here: no fork has to import it
import prefect.engine
import prefect.flow_engine  # noqa: F401

from blocks import timeline
from blocks.job import JobOptions
from flows import process_batch
from tests.fakes.forks import serve

OPTIONS = JobOptions(engine="whisper", language="en", guard=False, features=("raw_transcript",))


class Killer:
    """Takes the place of the log of steps."""

    def __init__(self, kill_after: int | None) -> None:
        self.begun = 0
        self.kill_after = kill_after

    def info(self, event: str, step: str, **facts: object) -> None:
        """Count the steps that begin, and end the process with the last one."""
        if event == "step started":
            print(f"began {step}", flush=True)
            self.begun += 1
            if self.begun == self.kill_after:
                os.kill(os.getpid(), signal.SIGKILL)

    def error(self, event: str, **facts: object) -> None:
        """Pass over."""


def run(asked: dict[str, Any]) -> dict[str, Any]:
    """Run the batch of the folder `folder`, or part of it: killed as the step `kill_after` begins."""
    timeline.log = Killer(asked["kill_after"])  # type: ignore[assignment]
    report = asyncio.run(process_batch([asked["folder"]], OPTIONS))
    return {"report": report.model_dump(mode="json")}


if __name__ == "__main__":
    serve(run)
