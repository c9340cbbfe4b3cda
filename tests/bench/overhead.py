"""Wall time of `process_audio` over the time of its engines, on ten minutes of speech, server running."""

import asyncio
import os
import subprocess
import tempfile
from pathlib import Path

from deployments.docs import ROOT
from deployments.server import TUNING, temporary_server

NAME = "overhead"
UNIT = "x"
GOAL = 1.05

ENGINE_STEPS = ("detect-speech", "transcribe", "enhance", "summarise")
"""The steps that run an engine: voice activity, speech, language twice."""

MINUTES = {True: 1, False: 10}


def measure(quick: bool) -> float:
    """Wall time / engine time of one run in a fresh store."""
    os.environ.update(TUNING | {"PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL"})
    with tempfile.TemporaryDirectory() as folder, temporary_server() as url:
        os.environ |= {"PREFECT_API_URL": url, "AUDIO_DIR": f"{folder}/store", "LOG_DIR": f"{folder}/logs"}
        recording = _recording(Path(folder), MINUTES[quick])
        return asyncio.run(_run(recording))


def _recording(folder: Path, minutes: int) -> Path:
    """The demo meeting, repeated and cut to the length."""
    path = folder / "speech.wav"
    demo = ROOT / "deployments" / "demo" / "meeting.flac"
    command = ["ffmpeg", "-loglevel", "error", "-stream_loop", "-1", "-i", str(demo), "-t", str(minutes * 60)]
    subprocess.run([*command, str(path)], check=True)
    return path


async def _run(recording: Path) -> float:
    from flows import process_audio

    result = await process_audio(str(recording))
    times, wall_s = result.metrics.step_time_s, result.metrics.processing_time_s
    engines_s = sum(times[step] for step in ENGINE_STEPS)
    for step, took_s in times.items():
        print(f"{step:14} {took_s:8.2f} s")
    print(f"wall {wall_s:.2f} s, engines {engines_s:.2f} s, audio {result.metrics.input_duration_s:.0f} s")
    return wall_s / engines_s
