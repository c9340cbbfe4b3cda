"""How loud a recording is, and the gain that brings it to a target."""

import math
from pathlib import Path
from typing import NamedTuple

from blocks.audio import SAMPLE_RATE_HZ, Channels
from blocks.progress import OnProgress
from tasks.audio.frames import pull, reading

SILENCE_LUFS = -70.0
"""The absolute gate: nothing below it counts (ITU-R BS.1770-4)."""

LEAST_PEAK = 1e-6
"""Stands for digital silence: -120 dBFS."""

PEAK_CEILING_DBFS = -1.0
"""EBU R128 allows true peaks up to -1 dBTP; gain stops there, so nothing clips."""


class Loudness(NamedTuple):
    """Integrated loudness in LUFS, and true peak in dB relative to full scale."""

    lufs: float
    peak_dbfs: float

    def gain_to(self, target_lufs: float) -> float:
        """Gain in dB to the target, as far as the peak allows; 0 for silence.

        Args:
            target_lufs: Integrated loudness wanted, in LUFS. EBU R128 recommends -23.
        """
        if self.lufs <= SILENCE_LUFS:
            return 0.0
        return min(target_lufs - self.lufs, PEAK_CEILING_DBFS - self.peak_dbfs)


def measure_loudness(
    path: Path,
    *,
    channels: Channels,
    max_duration_s: float,
    expected_s: float | None,
    on_progress: OnProgress,
) -> Loudness:
    """Loudness of a recording as `decode` would write it: a mono mix is quieter than its stereo source.

    Args:
        path: The recording.
        channels: `mix` or `split`.
        max_duration_s: Longest audio taken.
        expected_s: Length by the header, for the progress; None when it does not say.
        on_progress: Called with the share done.

    Raises:
        BadAudio, TooLarge: see `decode`.

    Source: EBU R128 (2023) and ITU-R BS.1770-4, measured by FFmpeg's `ebur128` filter.
    """
    import av.filter

    measured: dict[str, str] = {}
    done_s = 0.0
    with reading(path, channels, max_duration_s=max_duration_s) as sound:
        graph = av.filter.Graph()
        layout = "stereo" if sound.channels == 2 else "mono"
        source = graph.add_abuffer(sample_rate=SAMPLE_RATE_HZ, format="s16", layout=layout)
        meter = graph.add("ebur128", "metadata=1:peak=true:framelog=quiet")
        graph.link_nodes(source, meter, graph.add("abuffersink")).configure()
        for frame in sound.frames:
            frame.pts = None
            graph.push(frame)
            for metered in pull(graph):
                measured = dict(metered.metadata) or measured
            done_s += frame.samples / SAMPLE_RATE_HZ
            on_progress(done_s / expected_s if expected_s else 0.0)
    peaks = [float(value) for name, value in measured.items() if name.startswith("lavfi.r128.true_peaks_ch")]
    lufs = float(measured.get("lavfi.r128.I", SILENCE_LUFS))
    return Loudness(lufs, 20 * math.log10(max([*peaks, LEAST_PEAK])))
