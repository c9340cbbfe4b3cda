"""Run one batch in a process of its own, which kills itself as a chosen step begins.

`python -m tests.flows.run_batch FOLDER [KILL_AFTER]`: prints «began STEP» for every step computed and, at the end,
the report.
"""

import asyncio
import os
import signal
import sys

from blocks import timeline
from blocks.job import JobOptions
from flows import process_batch

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


def main() -> None:
    """Run the batch, or part of it."""
    folder, kill_after = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else None
    timeline.log = Killer(kill_after)  # type: ignore[assignment]
    report = asyncio.run(process_batch([folder], OPTIONS))
    print(report.model_dump_json())


if __name__ == "__main__":
    main()
