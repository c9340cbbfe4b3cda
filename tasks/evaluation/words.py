"""Word and character errors: the least words (or characters) to put in, leave out or replace."""

from collections.abc import Sequence
from typing import Any

from blocks.model import Frozen
from tasks.evaluation.installed import measuring
from tasks.evaluation.normalise import BY_NAME


class Errors(Frozen):
    """Errors against a reference.

    Attributes:
        substitutions, deletions, insertions: How many of each, by one of the shortest ways there are.
        reference: Words or characters of the reference.
    """

    substitutions: int = 0
    deletions: int = 0
    insertions: int = 0
    reference: int

    @property
    def count(self) -> int:
        """All errors: the Levenshtein distance, whichever way is taken."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def rate(self) -> float | None:
        """Errors / length of the reference; None where nothing was to be said."""
        return self.count / self.reference if self.reference else None


class Chunk(Frozen):
    """Words side by side: equal, replaced, left out (`hypothesis` is empty) or put in (`reference` is empty)."""

    reference: tuple[int, ...] = ()
    hypothesis: tuple[int, ...] = ()
    equal: bool = False


def word_errors(reference: Sequence[str], hypothesis: Sequence[str]) -> tuple[Errors, tuple[Chunk, ...]]:
    """Errors in words, and which word stands for which.

    Args:
        reference: Normalised words that were said.
        hypothesis: Normalised words of the output.
    """
    found = _aligned(list(reference), list(hypothesis))
    return _errors(found, len(reference)), tuple(_chunk(one) for one in found.alignments[0])


def character_errors(reference: Sequence[str], hypothesis: Sequence[str]) -> Errors:
    """Errors in characters; the single spaces between words count."""
    said = list(" ".join(reference))
    return _errors(_aligned(said, list(" ".join(hypothesis))), len(said))


def word_error_rate(reference: str, hypothesis: str, language: str | None = None, by: str = "words") -> float:
    """Word error rate of a text, normalised.

    Raises:
        ZeroDivisionError: the reference has no word.
    """
    normalisation = BY_NAME[by]
    errors, _ = word_errors(normalisation.words(reference, language), normalisation.words(hypothesis, language))
    return errors.count / errors.reference


def _aligned(reference: list[str], hypothesis: list[str]) -> Any:
    """What jiwer makes of lists, which are not to be split again."""

    def as_given(items: list[Any]) -> list[Any]:
        return items

    process: Any = measuring("jiwer").process_words
    return process([reference], [hypothesis], as_given, as_given)


def _errors(found: Any, length: int) -> Errors:
    return Errors(
        substitutions=found.substitutions, deletions=found.deletions, insertions=found.insertions, reference=length
    )


def _chunk(found: Any) -> Chunk:
    return Chunk(
        reference=tuple(range(found.ref_start_idx, found.ref_end_idx)),
        hypothesis=tuple(range(found.hyp_start_idx, found.hyp_end_idx)),
        equal=found.type == "equal",
    )
