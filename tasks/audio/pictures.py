"""Pictures of a job: the waveform with its speech, and where the time went."""

import io
import wave
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect import task

from blocks import timeline
from blocks.audio import Speech
from blocks.progress import in_thread
from blocks.store import open_store
from blocks.store.files import FileRef

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

COLUMNS = 1200
"""Points of the envelope: about one a pixel."""

INK, SPEECH, GRID = "#1f3b57", "#f2a65a", "#d9dee3"


def waveform(audio: Path, speech: Speech) -> bytes:
    """The envelope of each channel as PNG, stretches with speech shaded.

    Args:
        audio: 16 kHz PCM16 WAV; read in pieces, whatever its length.
        speech: Its spans.
    """
    lows, highs = _envelope(audio)
    channels = lows.shape[1]
    figure = _figure(10, 1.6 + 1.4 * channels)
    axes = figure.subplots(channels, 1, sharex=True, squeeze=False)[:, 0]
    times = [speech.duration_s * (index + 0.5) / len(lows) for index in range(len(lows))]
    for channel, axis in enumerate(axes):
        for span in speech.spans:
            if span.channel == channel:
                axis.axvspan(span.start_s, span.end_s, color=SPEECH, alpha=0.35, linewidth=0)
        axis.fill_between(times, lows[:, channel], highs[:, channel], color=INK, linewidth=0)
        axis.set(xlim=(0, max(speech.duration_s, 0.1)), ylim=(-1, 1), yticks=[])
        axis.set_ylabel(f"channel {channel + 1}" if channels > 1 else "")
        _plain(axis)
    axes[0].set_title(f"speech in {speech.coverage:.0%} of {_clock(speech.duration_s)}", loc="left", fontsize=10)
    axes[-1].xaxis.set_major_formatter(_tick)
    return _png(figure)


def step_timing(step_time_s: dict[str, float]) -> bytes:
    """Seconds of each step as horizontal bars, as PNG."""
    figure = _figure(8, 1 + 0.36 * max(1, len(step_time_s)))
    axis = figure.subplots()
    names = list(step_time_s)
    bars = axis.barh(names, [step_time_s[name] for name in names], color=INK, height=0.6)
    axis.bar_label(bars, labels=[f"{step_time_s[name]:.2f} s" for name in names], padding=4, fontsize=9)
    axis.invert_yaxis()
    axis.margins(x=0.15)
    axis.set_title("seconds by step", loc="left", fontsize=10)
    _plain(axis)
    return _png(figure)


@task(name="draw-timing")
async def draw_timing_step(folder: str) -> FileRef:
    """Write `steps.png`: the steps computed so far in this run."""
    seen = timeline.current.get()
    picture = await in_thread(step_timing, seen.step_time_s if seen else {})
    return await in_thread(open_store().put_bytes, f"{folder}/steps.png", picture, "image/png")


def _envelope(audio: Path) -> "tuple[NDArray[np.float64], NDArray[np.float64]]":
    """Least and greatest sample of each of up to COLUMNS stretches, as [stretch, channel] in -1 to 1."""
    import numpy as np

    with wave.open(str(audio), "rb") as wav:
        channels = wav.getnchannels()
        stretch = max(1, -(-wav.getnframes() // COLUMNS))
        lows: list[NDArray[np.int16]] = []
        highs: list[NDArray[np.int16]] = []
        while content := wav.readframes(stretch):
            samples = np.frombuffer(content, np.int16).reshape(-1, channels)
            lows.append(samples.min(axis=0))
            highs.append(samples.max(axis=0))
    empty = np.zeros((1, channels), np.int16)
    scaled = [np.array(edges or empty, np.float64) / 32768 for edges in (lows, highs)]
    return scaled[0], scaled[1]


def _figure(width: float, height: float) -> Any:
    from matplotlib.figure import Figure  # not pyplot: it keeps every figure and wants a display

    return Figure(figsize=(width, height), layout="constrained")


def _plain(axis: Any) -> None:
    axis.spines[["top", "right", "left"]].set_visible(False)
    axis.grid(axis="x", color=GRID, linewidth=0.6)
    axis.set_axisbelow(True)


def _png(figure: Any) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=110, metadata={"Software": None})
    return stream.getvalue()


def _tick(seconds: float, _position: int) -> str:
    return _clock(seconds)


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
