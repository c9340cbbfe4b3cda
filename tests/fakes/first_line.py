"""The flow of the benchmark `start`: it writes down when its first line ran."""

import time
from pathlib import Path

from prefect import flow

import flows

assert flows.process_audio  # what a worker has to load for any job of ours


@flow
async def first_line(out: str) -> None:
    """Write the time."""
    now = time.time()
    Path(out).write_text(str(now))
