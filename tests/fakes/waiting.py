"""A job that waits until it is killed."""

import asyncio

from prefect import flow


@flow(name="process-text", persist_result=False)
async def process_text() -> None:
    """Wait."""
    await asyncio.Event().wait()
