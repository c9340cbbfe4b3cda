"""Share of the speech phase of a batch in which the engine has nothing to do, because decoding is not ahead of it."""

import asyncio
import json
import os
import tempfile
from pathlib import Path

from deployments.server import TUNING, temporary_server
from tests.bench import tiny

NAME = "overlap"
UNIT = "idle share"
GOAL = 0.05

LAYERS = 6
"""Makes the engine about as slow against decoding as a large model on a GPU of 24 GB is."""

missing = tiny.missing


def measure(quick: bool) -> float:
    """Idle share between the first request to the engine and its last answer."""
    os.environ |= TUNING | {"PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL"}
    with tempfile.TemporaryDirectory() as folder, temporary_server() as url:
        os.environ |= {"PREFECT_API_URL": url, "LOG_DIR": f"{folder}/logs", "AUDIO_DIR": f"{folder}/store"}
        tiny.use_whisper(Path(folder), layers=LAYERS, beam_size=5)
        place = Path(folder) / "recordings"
        place.mkdir()
        for index in range(6 if quick else 20):
            tiny.speech(place / f"{index:02}.mp3", 60 if quick else 180, skip_s=index)
        return asyncio.run(_run(place, Path(folder) / "logs" / "c500.jsonl"))


async def _run(place: Path, log: Path) -> float:
    from blocks.job import JobOptions
    from flows import process_batch

    options = JobOptions(engine="whisper", language="en", guard=False, features=("raw_transcript",))
    report = await process_batch([str(place)], options)
    events = [json.loads(line) for line in log.read_text().splitlines()]
    [ended] = [event for event in events if event["event"] == "model process ended"]
    cpu_s = sum(
        event["took_s"]
        for event in events
        if event["event"] == "step finished" and event["step"] in ("decode", "detect-speech")
    )
    print(f"{len(report.items)} recordings; engine busy {ended['busy_s']:.1f} s, idle {ended['idle_share']:.1%}")
    print(f"decoding and speech detection took {cpu_s:.1f} s beside it, on the same {os.cpu_count()} cores")
    return ended["idle_share"]
