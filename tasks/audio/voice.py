"""How much of a segment lies in speech."""

from bisect import bisect_right
from collections.abc import Iterable

from blocks.audio import Span, Speech
from blocks.transcript import Segment


class Voice:
    """The spans with speech, ready to be measured: merged, by channel and (None) over all channels."""

    def __init__(self, speech: Speech) -> None:
        self._merged: dict[int | None, list[tuple[float, float]]] = {None: _union(speech.spans)}
        self._channels = {f"Speaker {channel + 1}": channel for channel in range(speech.channels)}
        if speech.channels > 1:
            for channel in range(speech.channels):
                self._merged[channel] = _union(span for span in speech.spans if span.channel == channel)

    def within(self, segment: Segment) -> float:
        """Seconds of the segment in speech."""
        channel = self._channels.get(segment.speaker or "")
        merged = self._merged.get(channel, self._merged[None])
        first = bisect_right(merged, segment.start_s, key=lambda interval: interval[1])
        total_s = 0.0
        for index in range(first, len(merged)):
            start_s, end_s = merged[index]
            if start_s >= segment.end_s:
                break
            total_s += min(end_s, segment.end_s) - max(start_s, segment.start_s)
        return total_s


def _union(spans: Iterable[Span]) -> list[tuple[float, float]]:
    merged: list[tuple[float, float]] = []
    for span in sorted(spans, key=lambda span: span.start_s):
        if merged and span.start_s <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], span.end_s))
        else:
            merged.append((span.start_s, span.end_s))
    return merged
