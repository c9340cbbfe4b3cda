"""Facts of a decoded recording."""

import wave
from pathlib import Path


def duration_of(audio: Path) -> float:
    """Length of a WAV file in seconds."""
    with wave.open(str(audio), "rb") as wav:
        return wav.getnframes() / wav.getframerate()
