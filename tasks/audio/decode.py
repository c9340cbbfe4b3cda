"""Any recording to 16 kHz PCM16 WAV, streaming, in constant memory."""

import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from blocks.audio import SAMPLE_RATE_HZ, AudioInfo, Channels
from blocks.errors import BadAudio
from blocks.model import Frozen
from blocks.progress import OnProgress, in_thread, progress
from blocks.settings import settings
from blocks.steps import step
from blocks.store import open_store
from blocks.store.files import FileRef
from tasks.audio.loudness import gain_for
from tasks.audio.probe import open_audio, too_long

BYTES_PER_SAMPLE = 2
FRAME_SAMPLES = SAMPLE_RATE_HZ
"""One second a write: fewer calls from Python, and still little memory."""

MAX_DAMAGED_SHARE = 0.5
"""A file with more than half of its packets damaged is refused rather than half invented."""


class Decoded(Frozen):
    """What came out of a recording.

    Attributes:
        duration_s: Length of the decoded audio in seconds.
        channels: 1, or 2 for a split call.
        gain_db: Gain applied to reach the loudness asked for; None when none was asked for.
        damaged_packets: Packets skipped because they could not be decoded.
    """

    duration_s: float
    channels: int
    gain_db: float | None = None
    damaged_packets: int = 0


class DecodedAudio(Decoded):
    """The decoded audio in the store."""

    audio: FileRef


@step("decode", tags=("cpu",))
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
    gain_db = gain_for(source, loudness_lufs) if loudness_lufs is not None else None
    damage = Damage()
    with open_audio(source) as container, wave.open(str(target), "wb") as wav:
        stream = container.streams.audio[0]
        stream.thread_type = "AUTO"
        kept = 2 if channels == "split" and stream.channels == 2 else 1
        wav.setnchannels(kept)
        wav.setsampwidth(BYTES_PER_SAMPLE)
        wav.setframerate(SAMPLE_RATE_HZ)
        samples = 0
        for frame in _resampled(frames(container, stream, damage), kept, gain_db):
            wav.writeframesraw(memoryview(frame.planes[0])[: frame.samples * kept * BYTES_PER_SAMPLE])
            samples += frame.samples
            if samples > max_duration_s * SAMPLE_RATE_HZ:
                raise too_long(samples / SAMPLE_RATE_HZ, max_duration_s)
            if expected_s:
                on_progress(samples / SAMPLE_RATE_HZ / expected_s)
    if samples == 0 or damage.share > MAX_DAMAGED_SHARE:
        raise BadAudio(
            f"the recording is damaged: {damage.packets} of {damage.seen} packets cannot be decoded",
            fix="copy or record it again",
        )
    return Decoded(duration_s=samples / SAMPLE_RATE_HZ, channels=kept, gain_db=gain_db, damaged_packets=damage.packets)


class Damage:
    """How many packets of a stream could not be decoded."""

    def __init__(self) -> None:
        self.seen = 0
        self.packets = 0

    @property
    def share(self) -> float:
        """Damaged packets / packets, 0 to 1."""
        return self.packets / self.seen if self.seen else 0.0


def frames(container: Any, stream: Any, damage: Damage) -> Iterator[Any]:
    """The decoded frames of a stream; damaged packets are counted and left out.

    A demuxer that fails ends the stream: what was read until then counts.
    """
    import av.error

    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except (StopIteration, av.error.FFmpegError):
            return
        damage.seen += packet.size > 0
        try:
            yield from packet.decode()
        except av.error.FFmpegError:
            damage.packets += 1


def _resampled(source: Iterator[Any], channels: int, gain_db: float | None) -> Iterator[Any]:
    """Frames of one second of interleaved PCM16 at 16 kHz.

    The format of a stream may change midway (joined recordings, damaged headers): the graph is
    made anew whenever it does.
    """
    graph: Any = None
    shape: tuple[Any, ...] | None = None
    pushed = 0
    for frame in source:
        now = (frame.format.name, frame.layout.name, frame.sample_rate)
        if now != shape:
            if graph is not None:
                yield from _drain(graph)
            graph, shape = _graph(frame, channels, gain_db), now
        frame.pts = None  # times in damaged files jump; samples count
        graph.push(frame)
        pushed += frame.samples
        if pushed >= frame.sample_rate:  # a pull that finds nothing costs as much as ten pushes
            pushed = 0
            yield from _pull(graph)
    if graph is not None:
        yield from _drain(graph)


def _graph(frame: Any, channels: int, gain_db: float | None) -> Any:
    import av.filter

    layout = "stereo" if channels == 2 else "mono"
    graph = av.filter.Graph()
    chain = [
        graph.add_abuffer(sample_rate=frame.sample_rate, format=frame.format.name, layout=frame.layout.name),
        graph.add("aresample", str(SAMPLE_RATE_HZ)),
    ]
    if gain_db is not None:
        chain.append(graph.add("volume", f"{gain_db:.2f}dB:precision=float"))
    chain += [
        graph.add("aformat", f"sample_fmts=s16:sample_rates={SAMPLE_RATE_HZ}:channel_layouts={layout}"),
        graph.add("asetnsamples", f"n={FRAME_SAMPLES}:p=0"),
        graph.add("abuffersink"),
    ]
    graph.link_nodes(*chain).configure()
    return graph


def _drain(graph: Any) -> Iterator[Any]:
    graph.push(None)
    yield from _pull(graph)


def _pull(graph: Any) -> Iterator[Any]:
    import av.error

    while True:
        try:
            yield graph.pull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return
