"""Spoken recordings of any length, made by flite."""

import subprocess
import wave
from collections.abc import Sequence
from pathlib import Path

from blocks.audio import Span

RATE_HZ = 16_000
VOICES = ("rms", "slt", "awb", "kal16")
SENTENCES = (
    "Good morning everyone and welcome to the meeting",
    "The budget for next year is forty thousand dollars",
    "Please call the customer before noon on Thursday",
    "We have two open questions about the delivery",
    "Nobody has answered the letter from the bank",
    "The new office opens in the middle of March",
)


def speak(path: Path, sentences: Sequence[str] = SENTENCES, *, pause_s: float = 1.0) -> list[Span]:
    """Write the sentences in turn by several voices to a mono 16 kHz PCM16 WAV file; says where each one is."""
    spans: list[Span] = []
    with wave.open(str(path), "wb") as joined:
        joined.setparams((1, 2, RATE_HZ, 0, "NONE", ""))
        at_s = 0.0
        for index, sentence in enumerate(sentences):
            part = path.with_suffix(f".{index}.wav")
            voice = VOICES[index % len(VOICES)]
            subprocess.run(["flite", "-voice", voice, "-t", sentence, "-o", str(part)], check=True)
            with wave.open(str(part), "rb") as wav:
                content = wav.readframes(wav.getnframes())
                if wav.getframerate() != RATE_HZ:
                    raise ValueError(f"the voice {voice} speaks at {wav.getframerate()} Hz")
            part.unlink()
            spoken_s = len(content) / 2 / RATE_HZ
            spans.append(Span(start_s=round(at_s, 3), end_s=round(at_s + spoken_s, 3)))
            joined.writeframes(content + bytes(2 * int(pause_s * RATE_HZ)))
            at_s += spoken_s + int(pause_s * RATE_HZ) / RATE_HZ
    return spans
