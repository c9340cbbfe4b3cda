"""Word error rate, for benchmarks and tests."""

import re

from rapidfuzz.distance import Levenshtein


def words(text: str) -> list[str]:
    """Lower-case words without punctuation."""
    return re.findall(r"[^\W_]+(?:'[^\W_]+)?", text.lower())


def word_error_rate(reference: str, hypothesis: str) -> float:
    """Levenshtein distance in words / words of the reference."""
    expected = words(reference)
    return Levenshtein.distance(expected, words(hypothesis)) / len(expected)
