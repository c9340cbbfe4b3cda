"""The sound of a recording as frames of 16 kHz PCM16, one second each, in constant memory."""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blocks.audio import SAMPLE_RATE_HZ, Channels
from blocks.errors import BadAudio
from tasks.audio.probe import open_audio, too_long

FRAME_SAMPLES = SAMPLE_RATE_HZ
"""One second a frame: fewer calls from Python, and still little memory."""


class Damage:
    """How many packets of a stream could not be decoded."""

    def __init__(self) -> None:
        self.seen = 0
        self.packets = 0

    @property
    def share(self) -> float:
        """Damaged packets / packets, 0 to 1."""
        return self.packets / self.seen if self.seen else 0.0


@dataclass(frozen=True, kw_only=True)
class Sound:
    """A recording being read.

    Attributes:
        channels: 1, or 2 for a split call.
        frames: Frames of up to one second of interleaved 16-bit samples, to be read once.
        damage: What could not be decoded so far.
    """

    channels: int
    frames: Iterator[Any]
    damage: Damage


@contextmanager
def reading(
    source: Path, channels: Channels, *, max_duration_s: float, gain_db: float | None = None
) -> Generator[Sound]:
    """Open a recording and decode its first audio stream while it is read.

    Args:
        source: The recording.
        channels: `mix` to one channel, or `split` to keep the two of a stereo call.
        max_duration_s: Longest audio taken; a header may lie, so it is watched here.
        gain_db: Gain to apply, in floating point before the samples are rounded to 16 bits.

    Raises:
        BadAudio: it is no recording, or of a shape that cannot be converted.
        TooLarge: longer than `max_duration_s`, while it is read.
    """
    damage = Damage()
    with open_audio(source) as container:
        stream = container.streams.audio[0]
        stream.thread_type = "AUTO"
        kept = 2 if channels == "split" and stream.channels == 2 else 1
        converted = _converted(_decoded(container, stream, damage), kept, gain_db)
        yield Sound(channels=kept, frames=_checked(converted, max_duration_s), damage=damage)


def pull(graph: Any) -> Iterator[Any]:
    """The frames that a filter graph has ready."""
    import av.error

    while True:
        try:
            yield graph.pull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return


def _checked(frames: Iterator[Any], max_duration_s: float) -> Iterator[Any]:
    import av.error

    samples = 0
    try:
        for frame in frames:
            samples += frame.samples
            if samples > max_duration_s * SAMPLE_RATE_HZ:
                raise too_long(samples / SAMPLE_RATE_HZ, max_duration_s)
            yield frame
    except av.error.FFmpegError as error:
        raise BadAudio(f"its sound cannot be converted: {error}", fix="convert it to mono or stereo") from error


def _decoded(container: Any, stream: Any, damage: Damage) -> Iterator[Any]:
    """The decoded frames of a stream; damaged packets are counted and left out.

    A demuxer that fails ends the stream: what was read until then counts.
    """
    import av.error

    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except av.error.FFmpegError:
            damage.seen += 1
            damage.packets += 1
            return
        damage.seen += packet.size > 0
        try:
            yield from packet.decode()
        except av.error.FFmpegError:
            damage.packets += packet.size > 0


def _converted(source: Iterator[Any], channels: int, gain_db: float | None) -> Iterator[Any]:
    """The format of a stream may change midway (joined recordings, damaged headers): the graph is
    made anew whenever it does."""
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
            yield from pull(graph)
    if graph is not None:
        yield from _drain(graph)


def _graph(frame: Any, channels: int, gain_db: float | None) -> Any:
    import av.filter

    layout = "stereo" if channels == 2 else "mono"
    graph = av.filter.Graph()
    chain = [
        graph.add_abuffer(sample_rate=frame.sample_rate, format=frame.format.name, layout=frame.layout.name),
        # Without rematrix_maxval a mix in floating point would be 3 dB louder than one of integers, and clip.
        graph.add("aresample", f"{SAMPLE_RATE_HZ}:out_chlayout={layout}:rematrix_maxval=1"),
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
    yield from pull(graph)
