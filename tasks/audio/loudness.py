"""How loud a recording is, and the gain that brings it to a target."""

import math
from pathlib import Path

from blocks.errors import BadAudio
from tasks.audio.probe import open_audio

SILENCE_LUFS = -70.0
"""The absolute gate: nothing below it counts (ITU-R BS.1770-4)."""

LEAST_PEAK = 1e-6
"""Stands for digital silence: -120 dBFS."""

PEAK_CEILING_DBFS = -1.0
"""EBU R128 allows true peaks up to -1 dBTP; gain stops there, so nothing clips."""


def gain_for(path: Path, target_lufs: float) -> float:
    """Gain in dB that brings the integrated loudness to the target without clipping; 0 for silence.

    Args:
        path: The recording.
        target_lufs: Integrated loudness wanted, in LUFS. EBU R128 recommends -23.

    Source: EBU R128 (2023) and ITU-R BS.1770-4, measured by FFmpeg's `ebur128` filter.
    """
    loudness, peak_dbfs = integrated_loudness(path)
    if loudness <= SILENCE_LUFS:
        return 0.0
    return min(target_lufs - loudness, PEAK_CEILING_DBFS - peak_dbfs)


def integrated_loudness(path: Path) -> tuple[float, float]:
    """Integrated loudness in LUFS and true peak in dBFS of the first audio stream.

    Raises:
        BadAudio: it holds nothing that can be decoded.
    """
    import av.error
    import av.filter

    from tasks.audio.decode import Damage, frames

    measured: dict[str, str] = {}
    with open_audio(path) as container:
        stream = container.streams.audio[0]
        graph = av.filter.Graph()
        source = graph.add_abuffer(template=stream)
        graph.link_nodes(source, graph.add("ebur128", "metadata=1:peak=true"), graph.add("abuffersink")).configure()
        for frame in frames(container, stream, Damage()):
            frame.pts = None
            graph.push(frame)
            while True:
                try:
                    measured = dict(graph.pull().metadata) or measured
                except (av.error.BlockingIOError, av.error.EOFError):
                    break
    if not measured:
        raise BadAudio("no sound can be decoded from the file", fix="copy or record it again")
    peaks = [float(value) for name, value in measured.items() if name.startswith("lavfi.r128.true_peaks_ch")]
    return float(measured["lavfi.r128.I"]), 20 * math.log10(max(*peaks, LEAST_PEAK))
