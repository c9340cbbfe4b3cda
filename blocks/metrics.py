"""The figures of a job."""

import math
import resource
from collections.abc import Sequence
from pathlib import Path

from blocks.transcript import Segment


def real_time_factor(processing_s: float, audio_s: float) -> float | None:
    """Processing time / audio duration: below 1 is faster than real time. None without audio."""
    return processing_s / audio_s if audio_s > 0 else None


def confidence(segments: Sequence[Segment]) -> float | None:
    """Mean of exp(avg_logprob) over segments, weighted by their duration; None when no segment says.

    Source: the segment score of OpenAI's Whisper, `avg_logprob`, read as a mean token probability.
    """
    said = [
        (segment.end_s - segment.start_s, math.exp(segment.avg_logprob))
        for segment in segments
        if segment.avg_logprob is not None
    ]
    total_s = sum(duration_s for duration_s, _ in said)
    return sum(duration_s * score for duration_s, score in said) / total_s if total_s > 0 else None


def peak_rss_bytes() -> int:
    """Largest resident memory of this process so far.

    On Linux from `VmHWM`: `ru_maxrss` keeps the peak of the parent that started the process (proc(5)).
    """
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024
    except (OSError, IndexError, ValueError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS, the one system left
