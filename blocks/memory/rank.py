"""Which memories fit a question, and in which order."""

from collections.abc import Mapping
from math import log
from typing import TYPE_CHECKING, Any

from blocks.memory.words import words

if TYPE_CHECKING:
    import numpy as np

    from blocks.memory.vectors import Shelf

    Array = np.ndarray[Any, Any]

HALF_LIFE_S = 30 * 86_400.0
"""Unused for so long, a memory counts half as fresh."""

FLOOR = 0.25
"""What is left of freshness after years: an old memory that fits exactly comes before a new one that hardly fits."""

VECTOR_SHARE = 0.5
"""Of similarity, what the vectors say; the rest is the words that question and memory share.

Source: convex combination of both, which does better than fusing ranks (Bruch et al. 2023, «An Analysis of Fusion
Functions for Hybrid Retrieval»); we have no judged questions to fit the share with, so it is the middle.
"""

LEAST_SIMILARITY = 0.09
"""Below it a memory has nothing to do with the question: with `LexicalEmbedder`, unrelated texts come to 0.07 at most,
a single inflected word in common to 0.1 and more."""

SHORTLIST = 64
"""Memories of each kind of search that are looked at closely."""

ROUNDED = 5
"""Decimals of similarities: the last bits of a product depend on where a vector lies, and ranks must not."""


def recency(used_at: "Array | float", now: float) -> Any:
    """Freshness, `FLOOR` to 1: halves with every `HALF_LIFE_S` without use, down to the floor.

    Source: exponential decay since the last retrieval, Park et al. 2023 («Generative Agents»: 0.995 an hour, a
    half-life of 6 days); ours is longer, since operations come back by the month.
    """
    import numpy as np

    age_s = np.maximum(0.0, now - used_at)
    return FLOOR + (1 - FLOOR) * 0.5 ** (age_s / HALF_LIFE_S)


def score(similarity: Any, importance: Any, used_at: Any, now: float) -> Any:
    """similarity × importance / 10 × recency; 0 to 1."""
    return similarity * importance / 10 * recency(used_at, now)


def nearest(shelf: "Shelf", vector: "Array", now: float) -> dict[int, float]:
    """The best memories by their vectors: cosine by row number."""
    import numpy as np

    cosine = np.maximum(shelf.vectors[: shelf.count] @ vector, 0).round(ROUNDED)
    cosine[shelf.seqs[: shelf.count] == 0] = 0
    scores = score(cosine, shelf.importance[: shelf.count], shelf.used_at[: shelf.count], now)
    if len(scores) > SHORTLIST:
        least = np.partition(scores, -SHORTLIST)[-SHORTLIST]
        places = np.flatnonzero((scores >= least) & (cosine > 0))
    else:
        places = np.flatnonzero(cosine > 0)
    # All that are as good as the last: which of them is kept must not depend on their places.
    best = places[np.lexsort((-shelf.seqs[places], -scores[places]))][:SHORTLIST]
    return {int(shelf.seqs[place]): float(cosine[place]) for place in best}


def rarity(counts: Mapping[str, int], size: int) -> dict[str, float]:
    """How much each word of a question tells, by how many of the memories have it; sums to 1."""
    weights = {word: log(1 + size / max(1, count)) for word, count in counts.items()}
    whole = sum(weights.values()) or 1.0
    return {word: weight / whole for word, weight in weights.items()}


def coverage(text: str, weights: Mapping[str, float]) -> float:
    """The share of a question's words that a text has, each by its rarity; 0 to 1."""
    has = set(words(text))
    return round(sum(weight for word, weight in weights.items() if word in has), ROUNDED)


def similarity(cosine: float | None, covered: float) -> float:
    """Of a memory to a question, 0 to 1.

    Args:
        cosine: Of the vectors; None when the question has none.
        covered: See `coverage`.
    """
    if cosine is None:
        return covered
    return round(VECTOR_SHARE * max(0.0, cosine) + (1 - VECTOR_SHARE) * covered, ROUNDED)
