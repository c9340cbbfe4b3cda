"""Recordings in every format, made by FFmpeg and flite when the tests run."""

import subprocess
import wave
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

FORMATS = {
    "wav": ["-c:a", "pcm_s16le"],
    "mp3": ["-c:a", "libmp3lame"],
    "m4a": ["-c:a", "aac"],
    "aac": ["-c:a", "aac", "-f", "adts"],
    "flac": ["-c:a", "flac"],
    "ogg": ["-c:a", "libvorbis"],
    "opus": ["-c:a", "libopus"],
    "webm": ["-c:a", "libopus"],
}


def ffmpeg(*arguments: object) -> None:
    """Run FFmpeg quietly."""
    subprocess.run(["ffmpeg", "-loglevel", "error", "-y", *map(str, arguments)], check=True)


def to_amr(source: Path, target: Path) -> Path:
    """Encode with PyAV: Debian's FFmpeg has no AMR encoder."""
    with av.open(str(source)) as given, av.open(str(target), "w") as made:
        stream = made.add_stream("libopencore_amrnb", rate=8000, layout="mono")
        for frame in given.decode(audio=0):
            made.mux(stream.encode(frame))
        made.mux(stream.encode(None))
    return target


@pytest.fixture(scope="session")
def recordings(sentence: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The sentence in each format, and as the sound track of a film."""
    folder = tmp_path_factory.mktemp("formats")
    made: dict[str, Path] = {}
    for name, options in FORMATS.items():
        made[name] = folder / f"sentence.{name}"
        ffmpeg("-i", sentence, *options, made[name])
    made["amr"] = to_amr(sentence, folder / "sentence.amr")
    made["mp4"] = folder / "film.mp4"
    picture = ["-f", "lavfi", "-i", "color=black:s=64x64:r=5:d=5"]
    ffmpeg(*picture, "-i", sentence, "-c:v", "mpeg4", "-c:a", "aac", "-shortest", made["mp4"])
    return made


@pytest.fixture
def write_wav(tmp_path: Path) -> Callable[..., Path]:
    """Write arrays of samples in -1 to 1, one column a channel, as WAV."""

    def write(samples: np.ndarray, rate_hz: int = 16_000, name: str = "made.wav") -> Path:
        columns = samples if samples.ndim == 2 else samples.reshape(-1, 1)
        path = tmp_path / name
        with wave.open(str(path), "wb") as wav:
            wav.setparams((columns.shape[1], 2, rate_hz, 0, "NONE", ""))
            wav.writeframes((columns * 32767).astype("<i2").tobytes())
        return path

    return write
