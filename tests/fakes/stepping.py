"""A job of three steps, one of which waits."""

import asyncio
from pathlib import Path

from prefect import flow, task

from blocks.progress import progress


async def _wait(step: str, waits_in: str) -> None:
    async with progress(step) as on_progress:
        if step == waits_in:
            on_progress(0.4)
            Path(f"in-{step}").touch()
            await asyncio.Event().wait()


@task(name="decode")
async def decode(waits_in: str) -> None:
    await _wait("decode", waits_in)


@task(name="detect-speech")
async def detect_speech(waits_in: str) -> None:
    await _wait("detect-speech", waits_in)


@task(name="transcribe")
async def transcribe(waits_in: str) -> None:
    await _wait("transcribe", waits_in)


@flow(name="process-audio", persist_result=False)
async def process_audio(waits_in: str) -> None:
    """Decode, detect speech, transcribe.

    Args:
        waits_in: File with the name of the step that never ends.
    """
    step = Path(waits_in).read_text()
    await decode(step)
    await detect_speech(step)
    await transcribe(step)
