"""Two systems on the same utterances, word by word, with a known difference."""

from typing import Any

import numpy as np

from tasks.evaluation.evaluation import SystemResult
from tasks.evaluation.scores import CaseScore
from tasks.evaluation.system import System
from tasks.evaluation.words import Errors

UTTERANCES = 200
MEAN_WORDS = 20
BASE_WER = 0.10


def two_systems(seed: int, points: float, shared: float) -> tuple[SystemResult, SystemResult]:
    """A candidate whose true word error rate is so many points above the baseline's.

    Utterances are of 20 words on average (Poisson) and differ in how hard they are (Beta of mean 0.1).

    Args:
        seed: Of everything.
        points: True difference, candidate minus baseline.
        shared: Share of the words that both get wrong or right together, as two engines of one kind do.
    """
    draws = np.random.default_rng(seed)
    candidate, baseline = list[CaseScore](), list[CaseScore]()
    for number in range(UTTERANCES):
        words = max(3, int(draws.poisson(MEAN_WORDS)))
        hard = draws.beta(2, 2 / BASE_WER - 2)
        first = draws.random(words) < hard
        alone = draws.random(words) < min(1.0, hard + points / 100)
        together = first | (draws.random(words) < points / 100 / (1 - hard))
        second = np.where(draws.random(words) < shared, together, alone)
        baseline.append(_score(number, int(first.sum()), words))
        candidate.append(_score(number, int(second.sum()), words))
    return result(candidate), result(baseline)


def _score(number: int, errors: int, words: int) -> CaseScore:
    return CaseScore(case=str(number), words=Errors(substitutions=errors, reference=words))


def result(scores: list[CaseScore], **more: Any) -> SystemResult:
    """Of a system with these scores."""
    fields: dict[str, Any] = {"system": System(), "label": "x", "failures": (), "totals": ()}
    return SystemResult(scores=tuple(scores), **{**fields, **more})
