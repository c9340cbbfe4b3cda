"""Spans of speech packed into windows, and times within a window mapped back to the recording."""

from collections.abc import Sequence

from blocks.audio import Span
from blocks.model import Frozen

WINDOW_S = 30.0
"""What Whisper hears at once."""


class Window(Frozen):
    """Stretches of speech heard one right after the other, without the silence between them.

    Attributes:
        parts: Start and end of each stretch in the recording, seconds, in order.
    """

    parts: tuple[tuple[float, float], ...]

    @property
    def duration_s(self) -> float:
        """Seconds of speech."""
        return sum(end_s - start_s for start_s, end_s in self.parts)

    def place(self, start_s: float, end_s: float) -> tuple[float, float]:
        """Where a word lies in the recording.

        A word is in the part that holds its middle, and does not reach beyond it.

        Args:
            start_s, end_s: Seconds from the start of the window.
        """
        middle_s = (start_s + end_s) / 2
        before_s = 0.0
        for first_s, last_s in self.parts:
            length_s = last_s - first_s
            if middle_s < before_s + length_s or (first_s, last_s) == self.parts[-1]:
                shift_s = first_s - before_s
                return (
                    round(min(max(start_s + shift_s, first_s), last_s), 3),
                    round(min(max(end_s + shift_s, first_s), last_s), 3),
                )
            before_s += length_s
        raise ValueError("a window has at least one part")

    def part_of(self, at_s: float) -> int:
        """Index of the part that holds a time of the recording."""
        return next((index for index, (_, end_s) in enumerate(self.parts) if at_s <= end_s), len(self.parts) - 1)


def pack(spans: Sequence[Span], longest_s: float = WINDOW_S) -> list[Window]:
    """Fill windows with whole spans, in order; a span longer than a window is cut.

    Args:
        spans: Speech of one channel, in order, not overlapping.
        longest_s: Length of a window.
    """
    windows: list[list[tuple[float, float]]] = []
    room_s = 0.0
    for start_s, end_s in _cut(spans, longest_s):
        if end_s - start_s > room_s + 1e-6:
            windows.append([])
            room_s = longest_s
        windows[-1].append((start_s, end_s))
        room_s -= end_s - start_s
    return [Window(parts=tuple(parts)) for parts in windows]


def _cut(spans: Sequence[Span], longest_s: float) -> list[tuple[float, float]]:
    pieces: list[tuple[float, float]] = []
    for span in spans:
        start_s = span.start_s
        while span.end_s - start_s > longest_s + 1e-6:
            pieces.append((start_s, start_s + longest_s))
            start_s += longest_s
        pieces.append((start_s, span.end_s))
    return pieces
