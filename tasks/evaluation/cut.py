"""A stretch of a recording as a file of its own."""

import wave
from pathlib import Path
from typing import Any

from blocks.audio import SAMPLE_RATE_HZ
from blocks.errors import BadAudio


def cut(audio: Path, start_s: float | None, end_s: float | None, made: Path) -> None:
    """Write a stretch of a recording as mono WAV at 16 kHz; equal input gives equal bytes.

    Args:
        audio: The recording.
        start_s, end_s: The stretch in seconds; None for the beginning, and for the end.
        made: Where it is written.

    Raises:
        BadAudio: it cannot be decoded, or has nothing there.
    """
    import av.error

    first = round((start_s or 0.0) * SAMPLE_RATE_HZ)
    last = None if end_s is None else round(end_s * SAMPLE_RATE_HZ)
    fix = "check start_s and end_s, or the recording"
    try:
        with av.open(str(audio)) as container, wave.open(str(made), "wb") as wav:
            wav.setparams((1, 2, SAMPLE_RATE_HZ, 0, "NONE", ""))
            _copy(container, wav, first, last)
            written = wav.getnframes()
    except (av.error.FFmpegError, IndexError) as error:
        raise BadAudio(f"{audio} cannot be decoded: {error}", fix=fix) from error
    if not written:
        raise BadAudio(f"{audio} has nothing between {start_s or 0} s and {end_s} s", fix=fix)


def _copy(container: Any, wav: wave.Wave_write, first: int, last: int | None) -> None:
    from av.audio.resampler import AudioResampler

    resampler = AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE_HZ)
    at = 0
    for frame in _frames(container, resampler):
        samples: bytes = frame.to_ndarray().tobytes()
        length = len(samples) // 2
        if last is not None and at >= last:
            return
        until = length if last is None else min(length, last - at)
        wav.writeframes(samples[2 * max(0, first - at) : 2 * until])
        at += length


def _frames(container: Any, resampler: Any) -> Any:
    for frame in container.decode(container.streams.audio[0]):
        yield from resampler.resample(frame)
    yield from resampler.resample(None)
