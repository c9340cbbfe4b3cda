"""Any recording to 16 kHz PCM16 WAV, streaming, in constant memory."""

import wave
from pathlib import Path

from blocks.audio import SAMPLE_RATE_HZ, AudioInfo, Channels
from blocks.errors import BadAudio, StoreFailed
from blocks.job import Notice
from blocks.model import Frozen
from blocks.progress import OnProgress, in_thread, progress
from blocks.settings import settings
from blocks.steps import step
from blocks.store import open_store
from blocks.store.files import FileRef
from tasks.audio.frames import Sound, reading
from tasks.audio.loudness import Loudness, measure_loudness

BYTES_PER_SAMPLE = 2

MAX_DAMAGED_SHARE = 0.9
"""A recording that breaks off or is damaged midway keeps what can be heard; with less than a tenth
whole, what decodes is more likely noise."""


class Decoded(Frozen):
    """What came out of a recording.

    Attributes:
        duration_s: Length of the decoded audio in seconds.
        channels: 1, or 2 for a split call.
        loudness_lufs: Integrated loudness before the gain, in LUFS; None when none was asked for.
        gain_db: Gain applied to reach the loudness asked for; None when none was asked for.
        damaged_packets: Packets skipped because they could not be decoded.
    """

    duration_s: float
    channels: int
    loudness_lufs: float | None = None
    gain_db: float | None = None
    damaged_packets: int = 0


class DecodedAudio(Decoded):
    """The decoded audio in the store."""

    audio: FileRef


SHORTFALL = 0.05
"""A recording this much shorter than its header says is worth a notice."""


def decode_notices(audio: DecodedAudio, info: AudioInfo, channels: Channels) -> tuple[Notice, ...]:
    """What the user should know about a recording that is damaged, or lacks the channels to split."""
    notices: list[Notice] = []
    if channels == "split" and audio.channels == 1:
        message = "The recording has one channel: its speakers cannot be told apart by channels."
        notices.append(Notice(step="decode", code="one_channel", message=message))
    if audio.damaged_packets:
        message = f"{audio.damaged_packets} packets of the recording are damaged and were left out."
        notices.append(Notice(step="decode", code="damaged_audio", message=message))
    if info.duration_s and audio.duration_s < info.duration_s * (1 - SHORTFALL):
        message = f"The recording breaks off at {audio.duration_s:.0f} s of {info.duration_s:.0f} s."
        notices.append(Notice(step="decode", code="cut_short", message=message))
    return tuple(notices)


@step("decode", timeout_s=3600, tags=("cpu",))
async def decode_step(
    folder: str, source: FileRef, info: AudioInfo, channels: Channels, loudness_lufs: float | None
) -> DecodedAudio:
    """Write `audio.wav`.

    Raises:
        BadAudio, TooLarge: see `decode`.
    """
    files = open_store()
    with files.local(source.key) as path, files.scratch("audio.wav") as target:
        async with progress("decode") as on_progress:
            decoded = await in_thread(
                decode,
                path,
                target,
                channels=channels,
                loudness_lufs=loudness_lufs,
                max_duration_s=settings().max_duration_s,
                expected_s=info.duration_s,
                on_progress=on_progress,
            )
        audio = await in_thread(files.put_file, f"{folder}/audio.wav", target, "audio/wav")
    return DecodedAudio(audio=audio, **decoded.model_dump())


def decode(
    source: Path,
    target: Path,
    *,
    channels: Channels,
    loudness_lufs: float | None,
    max_duration_s: float,
    expected_s: float | None,
    on_progress: OnProgress,
) -> Decoded:
    """Decode the first audio stream of a file to a WAV file of 16 kHz PCM16.

    Args:
        source: The recording.
        target: The WAV file to write.
        channels: `mix` to one channel, or `split` to keep the two of a stereo call.
        loudness_lufs: Integrated loudness to bring the audio to, or None.
        max_duration_s: Longest audio taken; a header may lie, so it is watched here too.
        expected_s: Length by the header, for the progress; None when it does not say.
        on_progress: Called with the share done.

    Raises:
        BadAudio: nothing, or too little of it, can be decoded.
        TooLarge: longer than `max_duration_s`.
    """
    measured: Loudness | None = None
    gain_db: float | None = None
    first_pass = 0.0 if loudness_lufs is None else 0.5
    if loudness_lufs is not None:
        measured = measure_loudness(
            source,
            channels=channels,
            max_duration_s=max_duration_s,
            expected_s=expected_s,
            on_progress=lambda share: on_progress(share * first_pass),
        )
        gain_db = measured.gain_to(loudness_lufs)
    with reading(source, channels, max_duration_s=max_duration_s, gain_db=gain_db) as sound:
        duration_s = _write(
            sound,
            target,
            expected_s=expected_s,
            on_progress=lambda share: on_progress(first_pass + share * (1 - first_pass)),
        )
    damage = sound.damage
    if duration_s == 0 or damage.share > MAX_DAMAGED_SHARE:
        raise BadAudio(
            f"the recording is damaged: {damage.packets} of {damage.seen} packets cannot be decoded",
            fix="copy or record it again",
        )
    return Decoded(
        duration_s=duration_s,
        channels=sound.channels,
        loudness_lufs=measured.lufs if measured else None,
        gain_db=gain_db,
        damaged_packets=damage.packets,
    )


def _write(sound: Sound, target: Path, *, expected_s: float | None, on_progress: OnProgress) -> float:
    """Write the WAV file; returns its length in seconds."""
    done_s = 0.0
    try:
        with wave.open(str(target), "wb") as wav:
            wav.setnchannels(sound.channels)
            wav.setsampwidth(BYTES_PER_SAMPLE)
            wav.setframerate(SAMPLE_RATE_HZ)
            for frame in sound.frames:
                wav.writeframesraw(memoryview(frame.planes[0])[: frame.samples * sound.channels * BYTES_PER_SAMPLE])
                done_s += frame.samples / SAMPLE_RATE_HZ
                on_progress(done_s / expected_s if expected_s else 0.0)
    except OSError as error:
        raise StoreFailed(
            f"the decoded audio cannot be written: {error}", fix="make room on the store's disk"
        ) from error
    return done_s
