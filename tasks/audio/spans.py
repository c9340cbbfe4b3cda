"""From speech probabilities to spans: hysteresis, short gaps, padding, and a longest length."""

from collections.abc import Sequence

from blocks.audio import SAMPLE_RATE_HZ

WINDOW_SAMPLES = 512
WINDOW_S = WINDOW_SAMPLES / SAMPLE_RATE_HZ

HYSTERESIS = 0.15
"""Speech goes on until the probability is this much below the threshold."""

MIN_SPEECH_S = 0.25
MIN_SILENCE_S = 0.8
PAD_S = 0.5
MAX_SPAN_S = 30.0
"""Longest stretch given to an engine at once: Whisper's window, and a bound on memory and delay.

Source of the rules: Silero VAD's `get_speech_timestamps`. Padding and silence are those with which
PocketSphinx read the speech of `tests/bench/wer.py` best, of four pairs tried.
"""


def spans_of(probabilities: Sequence[float], threshold: float, duration_s: float) -> list[tuple[float, float]]:
    """Stretches of speech as (start, end) in seconds, in order, not overlapping.

    Args:
        probabilities: One for each window of 32 ms.
        threshold: Speech begins at this probability.
        duration_s: Length of the audio; no span passes it.
    """
    found = [
        part
        for first, last in _runs(probabilities, threshold)
        if (last - first) * WINDOW_S >= MIN_SPEECH_S
        for part in _cut(probabilities, first, last)
    ]
    return _padded([(first * WINDOW_S, last * WINDOW_S) for first, last in found], duration_s)


def _runs(probabilities: Sequence[float], threshold: float) -> list[tuple[int, int]]:
    """Runs of speech as window indices [first, last); gaps under MIN_SILENCE_S belong to the run."""
    runs: list[tuple[int, int]] = []
    start: int | None = None
    quiet_from: int | None = None
    silence = max(threshold - HYSTERESIS, 0.01)
    longest_gap = round(MIN_SILENCE_S / WINDOW_S)
    for index, probability in enumerate(probabilities):
        if probability >= threshold:
            start, quiet_from = (index if start is None else start), None
        elif start is not None:
            if probability < silence and quiet_from is None:
                quiet_from = index
            # Once quiet, only a window over the threshold is speech again.
            if quiet_from is not None and index - quiet_from + 1 >= longest_gap:
                runs.append((start, quiet_from))
                start, quiet_from = None, None
    if start is not None:
        runs.append((start, len(probabilities) if quiet_from is None else quiet_from))
    return runs


def _cut(probabilities: Sequence[float], first: int, last: int) -> list[tuple[int, int]]:
    """Cut a run longer than MAX_SPAN_S at its least speech-like windows, in its second half each time."""
    longest = round((MAX_SPAN_S - 2 * PAD_S) / WINDOW_S)
    shortest = round(MIN_SPEECH_S / WINDOW_S)
    parts: list[tuple[int, int]] = []
    while last - first > longest:
        half = range(first + longest // 2, min(first + longest, last - shortest))
        at = min(half, key=lambda index: probabilities[index])
        parts.append((first, at))
        first = at
    parts.append((first, last))
    return parts


def _padded(spans: list[tuple[float, float]], duration_s: float) -> list[tuple[float, float]]:
    """Widen each span by PAD_S, at most to the middle of the gap to its neighbour."""
    padded: list[tuple[float, float]] = []
    for index, (start_s, end_s) in enumerate(spans):
        before_s = spans[index - 1][1] if index else 0.0
        after_s = spans[index + 1][0] if index + 1 < len(spans) else duration_s
        left_s = min(PAD_S, (start_s - before_s) / 2 if index else start_s)
        right_s = min(PAD_S, (after_s - end_s) / 2 if index + 1 < len(spans) else after_s - end_s)
        padded.append((round(start_s - left_s, 3), round(min(end_s + max(right_s, 0.0), duration_s), 3)))
    return padded
