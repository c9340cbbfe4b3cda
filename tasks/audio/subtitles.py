"""Subtitle cues: at most two lines of 42 characters, each on the screen long enough to read."""

import textwrap
from collections.abc import Iterable, Iterator, Sequence

from blocks.model import Frozen
from blocks.transcript import Segment

LINE_CHARS = 42
CUE_LINES = 2
"""Source: Netflix Timed Text Style Guide, also the BBC's and EBU's common practice."""

LEAST_CUE_S = 0.1


class Cue(Frozen):
    """One subtitle: times in seconds, and its lines."""

    start_s: float
    end_s: float
    speaker: str | None
    lines: tuple[str, ...]


def cues_of(segments: Iterable[Segment]) -> list[Cue]:
    """Cut segments into cues of at most two lines; words keep their order, none is lost.

    Times come from the words when the text has as many as the engine heard, else from the share
    of characters. A word longer than a line stands alone on it, whole.
    """
    return [cue for segment in segments for cue in _cut(segment)]


def _cut(segment: Segment) -> Iterator[Cue]:
    words = segment.text.split()
    prefix = len(f"{segment.speaker}: ") if segment.speaker else 0
    times = _word_times(segment, words)
    first = 0
    for count, lines in _pages(words, prefix):
        yield Cue(
            start_s=times[first][0],
            end_s=max(times[first + count - 1][1], times[first][0] + LEAST_CUE_S / 2),
            speaker=segment.speaker,
            lines=lines,
        )
        first += count


def _pages(words: Sequence[str], prefix: int) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Groups of up to two lines, with how many words each holds; the speaker's name takes room on the first."""
    rest = list(words)
    while rest:
        lines = textwrap.wrap(
            " ".join(rest),
            LINE_CHARS,
            initial_indent="\0" * min(prefix, LINE_CHARS // 2),
            break_long_words=False,
            break_on_hyphens=False,
        )
        page = tuple(line.replace("\0", "") for line in lines[:CUE_LINES])
        page = tuple(line for line in page if line.strip())
        count = sum(len(line.split()) for line in page)
        yield count, page
        rest = rest[count:]


def _word_times(segment: Segment, words: Sequence[str]) -> list[tuple[float, float]]:
    if len(words) == len(segment.words):
        return [(word.start_s, word.end_s) for word in segment.words]
    total = sum(len(word) + 1 for word in words) or 1
    length_s = segment.end_s - segment.start_s
    times: list[tuple[float, float]] = []
    passed = 0
    for word in words:
        start_s = segment.start_s + length_s * passed / total
        passed += len(word) + 1
        times.append((start_s, segment.start_s + length_s * passed / total))
    return times


def to_srt(cues: Sequence[Cue]) -> str:
    """SubRip: numbered cues, the speaker's name before the text."""
    blocks = [
        f"{number}\n{_clock(cue.start_s, ',')} --> {_clock(cue.end_s, ',')}\n{_srt_text(cue)}\n"
        for number, cue in enumerate(cues, 1)
    ]
    return "\n".join(blocks)


def to_vtt(cues: Sequence[Cue]) -> str:
    """WebVTT: the speaker as a voice span. Source: W3C, WebVTT."""
    blocks = [f"{_clock(cue.start_s, '.')} --> {_clock(cue.end_s, '.')}\n{_vtt_text(cue)}\n" for cue in cues]
    return "\n".join(["WEBVTT\n", *blocks])


def _srt_text(cue: Cue) -> str:
    text = "\n".join(cue.lines).replace("-->", "→")
    return f"{cue.speaker}: {text}" if cue.speaker else text


def _vtt_text(cue: Cue) -> str:
    text = _escaped("\n".join(cue.lines))
    return f"<v {_escaped(cue.speaker)}>{text}" if cue.speaker else text


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _clock(seconds: float, point: str) -> str:
    """`hh:mm:ss.mmm`."""
    milliseconds = round(seconds * 1000)
    minutes, rest = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{rest // 1000:02d}{point}{rest % 1000:03d}"
