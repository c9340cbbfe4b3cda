"""How far the times of words are off, over the words that the output has right."""

from collections.abc import Sequence

from blocks.model import Frozen
from tasks.evaluation.case import TimedWord
from tasks.evaluation.normalise import Normalisation
from tasks.evaluation.words import word_errors

MS = 1000


class TimeErrors(Frozen):
    """Absolute errors in ms, a number for each matched word.

    Attributes:
        start_ms: Of beginnings.
        end_ms: Of ends.
        reference: Words of the reference that have times.
    """

    start_ms: tuple[float, ...]
    end_ms: tuple[float, ...]
    reference: int


def time_errors(
    reference: Sequence[TimedWord],
    hypothesis: Sequence[TimedWord],
    normalisation: Normalisation,
    language: str | None = None,
) -> TimeErrors:
    """Match the words as for the word error rate, and compare the times of equal ones.

    A written word that is several (`twenty-five`) has the start of its first and the end of its last.
    """
    said, heard = _tokens(reference, normalisation, language), _tokens(hypothesis, normalisation, language)
    _, chunks = word_errors([text for text, _, _ in said], [text for text, _, _ in heard])
    pairs = [
        (said[one], heard[other])
        for chunk in chunks
        if chunk.equal
        for one, other in zip(chunk.reference, chunk.hypothesis, strict=True)
    ]
    return TimeErrors(
        start_ms=tuple(_off(one[1], other[1]) for one, other in pairs if None not in (one[1], other[1])),
        end_ms=tuple(_off(one[2], other[2]) for one, other in pairs if None not in (one[2], other[2])),
        reference=len(said),
    )


def _tokens(
    words: Sequence[TimedWord], normalisation: Normalisation, language: str | None
) -> list[tuple[str, float | None, float | None]]:
    """Each normalised word with start and end, None within a written word."""
    tokens: list[tuple[str, float | None, float | None]] = []
    for word in words:
        parts = normalisation.words(word.text, language)
        for at, part in enumerate(parts):
            first, last = at == 0, at == len(parts) - 1
            tokens.append((part, word.start_s if first else None, word.end_s if last else None))
    return tokens


def _off(one: float | None, other: float | None) -> float:
    return round(abs((one or 0.0) - (other or 0.0)) * MS, 3)
