"""Who said it: the turns of a diariser laid over a transcript."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from blocks.diarisation.protocol import Turn
from blocks.transcript import Segment, Transcript, Word

JOIN_S = 0.5
"""Neighbouring pieces of one speaker with a shorter pause are one segment again."""


def assign_speakers(transcript: Transcript, turns: Sequence[Turn]) -> Transcript:
    """Name the speaker of every segment, splitting segments where the speaker changes between words.

    A word belongs to the voice with most of it, or else to the nearest turn; a segment without words to the voice with
    most of it. Voices are `Speaker 1`, `Speaker 2`, ... in order of first appearance in the transcript.

    Args:
        transcript: Segments in order of start.
        turns: Who spoke when; without any, the transcript comes back as it is.
    """
    if not turns:
        return transcript
    voices = Voices(turns)
    pieces = [piece for segment in transcript.segments for piece in _pieces(segment, voices)]
    pieces.sort(key=lambda piece: piece.segment.start_s)
    names: dict[int, str] = {}
    segments = tuple(
        piece.segment.model_copy(update={"speaker": names.setdefault(piece.voice, f"Speaker {len(names) + 1}")})
        for piece in _joined(pieces)
    )
    return transcript.model_copy(update={"segments": segments})


@dataclass(frozen=True)
class Piece:
    """What one voice says of a segment; `split` when others say the rest."""

    voice: int
    segment: Segment
    split: bool = False


class Voices:
    """Turns in order, ready to be asked who speaks when."""

    def __init__(self, turns: Iterable[Turn]) -> None:
        self._turns = sorted(turns, key=lambda turn: (turn.start_s, turn.end_s))
        self._starts = [turn.start_s for turn in self._turns]
        # Turns may overlap, so their ends are not in order; those of the turns that end last so far are.
        self._last = list(accumulate(self._turns, _ending_last))
        self._ends = [turn.end_s for turn in self._last]

    def during(self, start_s: float, end_s: float) -> int:
        """The voice that speaks longest between two times, or that of the nearest turn; ties go to the earlier."""
        first = bisect_left(self._ends, start_s)
        after = bisect_left(self._starts, end_s)
        spoken: defaultdict[int, float] = defaultdict(float)
        for index in range(first, after):
            turn = self._turns[index]
            overlap_s = min(turn.end_s, end_s) - max(turn.start_s, start_s)
            if overlap_s > 0:
                spoken[turn.speaker] += overlap_s
        if spoken:
            return max(spoken, key=lambda voice: spoken[voice])
        return min(self._around(first, after), key=lambda turn: _distance_s(turn, start_s, end_s)).speaker

    def _around(self, first: int, after: int) -> list[Turn]:
        """Turns of which one is nearest: those between, the next, and the one that ends last before."""
        around = self._turns[first : after + 1]
        if first:
            around.insert(0, self._last[first - 1])
        return around


def _ending_last(one: Turn, other: Turn) -> Turn:
    return other if other.end_s > one.end_s else one


def _distance_s(turn: Turn, start_s: float, end_s: float) -> float:
    return max(turn.start_s - end_s, start_s - turn.end_s, 0.0)


def _pieces(segment: Segment, voices: Voices) -> list[Piece]:
    """The segment in stretches of one voice."""
    spoken = _voices_of(segment.words, voices)
    if not spoken:
        return [Piece(voices.during(segment.start_s, segment.end_s), segment)]
    changes = [index for index, (one, other) in enumerate(pairwise(spoken), 1) if one != other]
    if not changes:
        return [Piece(spoken[0], segment)]
    ranges = list(pairwise([0, *changes, len(spoken)]))
    texts = _texts(segment, ranges)
    return [
        Piece(spoken[first], _part(segment, segment.words[first:after], text), split=True)
        for (first, after), text in zip(ranges, texts, strict=True)
    ]


def _voices_of(words: Sequence[Word], voices: Voices) -> list[int]:
    """The voice of each word; none when no word can be placed.

    A word without length or letters goes with the one before: by itself it would make a segment without either.
    """
    found = [
        voices.during(word.start_s, word.end_s) if word.end_s > word.start_s and word.text.strip() else None
        for word in words
    ]
    voice = next((voice for voice in found if voice is not None), None)
    if voice is None:
        return []
    filled: list[int] = []
    for own in found:
        voice = voice if own is None else own
        filled.append(voice)
    return filled


def _texts(segment: Segment, ranges: Sequence[tuple[int, int]]) -> list[str]:
    """The text of each range of words: cut from the segment's text, which may have spaces and points of its own.

    Where the words are not those of the text, they are joined by spaces.
    """
    starts: list[int] = []
    at = 0
    for word in segment.words:
        at = segment.text.find(word.text.strip(), at)
        if at < 0:
            return [" ".join(word.text.strip() for word in segment.words[first:after]) for first, after in ranges]
        starts.append(at)
        at += len(word.text.strip())
    cuts = [0, *(starts[first] for first, _ in ranges[1:]), len(segment.text)]
    return [segment.text[first:after].strip() for first, after in pairwise(cuts)]


def _part(segment: Segment, words: Sequence[Word], text: str) -> Segment:
    """A segment of some of the words, with their times and the figures of the whole."""
    start_s, end_s = min(word.start_s for word in words), max(word.end_s for word in words)
    return segment.model_copy(update={"start_s": start_s, "end_s": end_s, "text": text, "words": tuple(words)})


def _joined(pieces: Iterable[Piece]) -> list[Piece]:
    """Pieces of two split segments that one voice says without a pause, as one."""
    joined: list[Piece] = []
    for piece in pieces:
        last = joined[-1] if joined else None
        if (
            last is not None
            and last.split
            and piece.split
            and last.voice == piece.voice
            and piece.segment.start_s - last.segment.end_s < JOIN_S
        ):
            joined[-1] = Piece(piece.voice, _both(last.segment, piece.segment), split=True)
        else:
            joined.append(piece)
    return joined


def _both(one: Segment, other: Segment) -> Segment:
    """Two pieces as one; its figures are the means over the words."""
    share = len(other.words) / (len(one.words) + len(other.words))
    return Segment(
        start_s=min(one.start_s, other.start_s),
        end_s=max(one.end_s, other.end_s),
        text=f"{one.text} {other.text}",
        words=(*one.words, *other.words),
        avg_logprob=_mean(one.avg_logprob, other.avg_logprob, share),
        no_speech_prob=_mean(one.no_speech_prob, other.no_speech_prob, share),
    )


def _mean(one: float | None, other: float | None, share: float) -> float | None:
    return None if one is None or other is None else one + (other - one) * share
