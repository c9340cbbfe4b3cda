"""Windows over spans of speech, and the turns that their labels make."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from blocks.audio import Span
from blocks.diarisation.protocol import Turn

WINDOW_S = 1.5
HOP_S = 0.75
"""Source: the subsegments of WeSpeaker's diarisation recipe; long enough for a voice, short enough for a turn."""


@dataclass(frozen=True)
class Window:
    """A stretch that gets one embedding; `span` is the number of the stretch of speech it lies in."""

    start_s: float
    end_s: float
    span: int

    @property
    def centre_s(self) -> float:
        """Its middle, in seconds."""
        return (self.start_s + self.end_s) / 2


def joined(spans: Sequence[Span], duration_s: float) -> list[tuple[float, float]]:
    """The spans as (start, end) in seconds: in order, those that touch as one, none beyond the recording."""
    merged: list[tuple[float, float]] = []
    for span in sorted(spans, key=lambda span: span.start_s):
        start_s, end_s = span.start_s, min(span.end_s, duration_s)
        if start_s >= end_s:
            continue
        if merged and start_s <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end_s))
        else:
            merged.append((start_s, end_s))
    return merged


def windows_of(stretches: Sequence[tuple[float, float]]) -> list[Window]:
    """Windows of WINDOW_S every HOP_S; the last of a stretch ends with it, a shorter stretch is one window."""
    windows: list[Window] = []
    for number, (start_s, end_s) in enumerate(stretches):
        count = max(1, 1 + round((end_s - start_s - WINDOW_S) / HOP_S))
        last_s = max(start_s, end_s - WINDOW_S)
        for index in range(count):
            at_s = last_s if index == count - 1 else start_s + index * HOP_S
            windows.append(Window(at_s, min(at_s + WINDOW_S, end_s), number))
    return windows


def turns_of(stretches: Sequence[tuple[float, float]], windows: Sequence[Window], labels: Sequence[int]) -> list[Turn]:
    """The turns within each stretch, cut halfway between the centres of windows of different labels.

    A single window between two of one other speaker belongs to that speaker. Speakers are numbered from 0 in order of
    first appearance.
    """
    numbers: dict[int, int] = {}
    turns: list[Turn] = []
    for span, group in groupby(zip(windows, labels, strict=True), key=lambda pair: pair[0].span):
        inside = list(group)
        smooth = _smoothed([label for _, label in inside])
        cuts = [(one.centre_s + other.centre_s) / 2 for (one, _), (other, _) in pairwise(inside)]
        start_s, end_s = stretches[span]
        changes = [index for index in range(1, len(smooth)) if smooth[index] != smooth[index - 1]]
        edges = [start_s, *(cuts[index - 1] for index in changes), end_s]
        for first, (from_s, to_s) in zip([0, *changes], pairwise(edges), strict=True):
            speaker = numbers.setdefault(smooth[first], len(numbers))
            turns.append(Turn(start_s=from_s, end_s=to_s, speaker=speaker))
    return turns


def _smoothed(labels: Sequence[int]) -> list[int]:
    smooth = list(labels)
    for index in range(1, len(smooth) - 1):
        if smooth[index - 1] == smooth[index + 1]:
            smooth[index] = smooth[index - 1]
    return smooth
