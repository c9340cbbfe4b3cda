"""What the benchmarks on tiny random-weight models share."""

import os
import subprocess
from importlib.util import find_spec
from pathlib import Path

from deployments.docs import ROOT

DEMO = ROOT / "deployments" / "demo" / "meeting.flac"


def missing() -> str | None:
    """What these benchmarks lack here."""
    packages = [name for name in ("torch", "transformers", "chunkformer") if find_spec(name) is None]
    return f"needs {', '.join(packages)}: run it with TORCH=1" if packages else None


def use_whisper(folder: Path, *, layers: int, beam_size: int = 1) -> Path:
    """Build a random Whisper and name it in the settings: on the CPU, float32."""
    from blocks.settings import settings
    from tests.fakes.tiny_models import build_whisper

    model = build_whisper(folder / f"whisper-{layers}", layers=layers)
    os.environ |= {
        "WHISPER_MODEL_VARIANT": str(model),
        "WHISPER_DEVICE": "cpu",
        "WHISPER_COMPUTE_TYPE": "float32",
        "WHISPER_BEAM_SIZE": str(beam_size),
    }
    settings.cache_clear()
    return model


def speech(target: Path, seconds: int, *, skip_s: float = 0.0) -> Path:
    """The demo meeting repeated to a length, as 16 kHz mono WAV or, by its name, any other format."""
    command = ["ffmpeg", "-loglevel", "error", "-y", "-stream_loop", "-1", "-ss", str(skip_s), "-i", str(DEMO)]
    subprocess.run([*command, "-t", str(seconds), "-ar", "16000", "-ac", "1", str(target)], check=True)
    return target
