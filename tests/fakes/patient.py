"""The text job, after a step that waits for a file while it publishes its progress and holds a slot."""

import asyncio
from pathlib import Path

from prefect import flow
from prefect.concurrency.asyncio import concurrency

from blocks.job import JobResult
from blocks.progress import progress
from flows.audio import process_text as job
from flows.names import run_name

REACHED, GO = Path("reached"), Path("go")
LEASE_S = 300.0
SLOT = "patient"
"""A concurrency limit; the test makes it."""


@flow(name="process-text", flow_run_name=run_name, persist_result=False)
async def process_text(text: str) -> JobResult:
    """As the job of that name."""
    async with concurrency(SLOT, lease_duration=LEASE_S, strict=True), progress("wait") as on_progress:
        REACHED.touch()
        share = 0.0
        while not GO.exists():
            share += 0.0001
            on_progress(share)
            await asyncio.sleep(0.1)
    return await job.fn(text)
