"""Words in order of time, cut into segments."""

import math
from collections.abc import Callable, Sequence

from blocks.transcript import Segment, Word

PAUSE_S = 0.5
"""A pause this long between two words ends a segment."""

LEAST_PROBABILITY = 1e-6
"""Engines give probabilities down to 0, whose logarithm does not exist."""


def cut_at_pauses(
    words: Sequence[Word], also: Callable[[Sequence[Word], Word], bool] = lambda group, word: False
) -> list[list[Word]]:
    """Words between two pauses belong together.

    Args:
        words: In order of time.
        also: Whether to cut between the words before and the next one although there is no pause.
    """
    groups: list[list[Word]] = []
    for word in words:
        if groups and word.start_s - groups[-1][-1].end_s < PAUSE_S and not also(groups[-1], word):
            groups[-1].append(word)
        else:
            groups.append([word])
    return groups


def segment_of(words: Sequence[Word], text: str) -> Segment:
    """A segment that lasts from its first word to its last."""
    return Segment(
        start_s=words[0].start_s,
        end_s=max(word.end_s for word in words),
        text=text,
        words=tuple(words),
        avg_logprob=sum(math.log(max(word.probability, LEAST_PROBABILITY)) for word in words) / len(words),
    )
