"""A batch of 20 files against 20 single jobs, tiny Whisper on the CPU: loads of a model a phase, and the speed-up."""

import asyncio
import os
import tempfile
import time
from pathlib import Path

from deployments.server import TUNING, temporary_server
from tests.bench import tiny

NAME = "batch"
UNIT = "loads a phase"
GOAL = 1.0

PHASES = 2
"""Speech and language: each has one engine."""

missing = tiny.missing


def measure(quick: bool) -> float:
    """Loads of the batch / phases."""
    os.environ |= TUNING | {"PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL"}
    with tempfile.TemporaryDirectory() as folder, temporary_server() as url:
        os.environ |= {"PREFECT_API_URL": url, "LOG_DIR": f"{folder}/logs"}
        tiny.use_whisper(Path(folder), layers=2)
        place = Path(folder) / "recordings"
        place.mkdir()
        for index in range(5 if quick else 20):
            tiny.speech(place / f"{index:02}.wav", 20, skip_s=index)
        return asyncio.run(_compare(place, Path(folder)))


async def _compare(place: Path, folder: Path) -> float:
    from flows import process_audio, process_batch

    _store(folder / "warm-up")
    await process_audio(str(min(place.iterdir())), _options())
    _store(folder / "singles")
    start = time.perf_counter()
    for path in sorted(place.iterdir()):
        await process_audio(str(path), _options())
    singles_s = time.perf_counter() - start
    _store(folder / "batch")
    start = time.perf_counter()
    report = await process_batch([str(place)], _options())
    batch_s = time.perf_counter() - start
    count = len(report.items)
    if report.count("done") != count:
        raise RuntimeError(f"only {report.count('done')} of {count} recordings were done")
    print(f"{count} single jobs {singles_s:.1f} s, {count} loads of Whisper")
    print(f"one batch {batch_s:.1f} s, {report.model_loads} loads in {PHASES} phases")
    print(f"speed-up {singles_s / batch_s:.2f}")
    return report.model_loads / PHASES


def _options():
    from blocks.job import JobOptions

    return JobOptions(engine="whisper", language="en", guard=False, language_engine="extractive")


def _store(folder: Path) -> None:
    from blocks.settings import settings

    os.environ["AUDIO_DIR"] = str(folder)
    settings.cache_clear()
