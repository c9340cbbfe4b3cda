"""The text job, whose process is killed at the beginning of a step as often as wanted."""

import os
import signal
from pathlib import Path

from prefect import flow

from blocks import timeline
from blocks.job import JobResult
from flows.audio import process_text as job
from flows.names import run_name

STEPS = Path("steps.txt")
"""In the working directory: the steps begun, over all attempts."""


@flow(name="process-text", flow_run_name=run_name, persist_result=False)
async def process_text(text: str, at: str = "summarise", kills: int = 1) -> JobResult:
    """As the job of that name.

    Args:
        text: The text.
        at: Step at whose beginning the process is killed.
        kills: How often it is killed there before it may go on.
    """

    def on_step(step: str, ended: bool) -> None:
        if ended:
            return
        with STEPS.open("a") as steps:
            steps.write(f"{step}\n")
        if step == at and begun().count(at) <= kills:
            os.kill(os.getpid(), signal.SIGKILL)

    timeline.on_step.set(on_step)
    return await job.fn(text)


def begun() -> list[str]:
    """The steps begun so far."""
    return STEPS.read_text().split() if STEPS.exists() else []
