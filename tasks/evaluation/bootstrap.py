"""How sure a figure is: the bootstrap over cases, paired where two systems had the same cases.

Source: Bisani and Ney, «Bootstrap estimates for confidence intervals in ASR performance evaluation», ICASSP 2004.
"""

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

from blocks.model import Frozen
from tasks.evaluation.measures import Parts

if TYPE_CHECKING:
    from numpy.typing import NDArray

RESAMPLES = 10_000
DRAWN_AT_ONCE = 4_000_000
"""Cases drawn in one step: 32 MB of numbers."""

NORMAL = NormalDist()

POWER = 0.8
"""Of the least difference that would have been seen."""


class Interval(Frozen):
    """A confidence interval."""

    low: float
    high: float


class Paired(Frozen):
    """A difference of two systems on the same cases: the first minus the second.

    Attributes:
        difference: Of the values.
        low, high: Its confidence interval.
        standard_error: Standard deviation of the difference over the resamples.
        least_detectable: The true difference that would be called with a power of 80 %.
        share_lower, share_higher: Shares of the resamples in which the first is lower, and higher.
    """

    difference: float
    low: float
    high: float
    standard_error: float
    least_detectable: float
    share_lower: float
    share_higher: float


def interval(parts: Sequence[Parts], *, alpha: float, resamples: int, seed: int) -> Interval | None:
    """Confidence interval of sum of numerators / sum of denominators; None with fewer than two to draw from.

    Args:
        parts: Numerator and denominator of each unit that is drawn.
        alpha: 1 - confidence.
        resamples: How often.
        seed: Of the draws.
    """
    if len(parts) < 2:
        return None
    sums = _resampled([*zip(*parts, strict=True)], resamples, seed)
    return _percentiles(_ratios(sums[0], sums[1]), len(parts), alpha)


def paired(pairs: Sequence[tuple[Parts, Parts]], *, alpha: float, resamples: int, seed: int) -> Paired | None:
    """The difference of two systems with its interval; None with fewer than two units, or without a denominator.

    Args:
        pairs: Of each unit the parts of the first system and of the second.
        alpha: 1 - confidence.
        resamples: How often.
        seed: Of the draws; both systems have the same cases in each.
    """
    import numpy as np

    columns = [*zip(*((*one, *other) for one, other in pairs), strict=True)]
    if len(pairs) < 2 or not sum(columns[1]) or not sum(columns[3]):
        return None
    first_top, first_bottom, second_top, second_bottom = _resampled(columns, resamples, seed)
    differences: Any = _ratios(first_top, first_bottom) - _ratios(second_top, second_bottom)
    differences = differences[np.isfinite(differences)]
    found = _percentiles(differences, len(pairs), alpha)
    error = float(differences.std())
    return Paired(
        difference=sum(columns[0]) / sum(columns[1]) - sum(columns[2]) / sum(columns[3]),
        low=found.low,
        high=found.high,
        standard_error=error,
        least_detectable=(_reach(len(pairs), alpha) + NORMAL.inv_cdf(POWER)) * error,
        share_lower=float((differences < 0).mean()),
        share_higher=float((differences > 0).mean()),
    )


def least_units(alpha: float) -> int:
    """With fewer units nothing can be shown: if all differ the same way, chance does that in 2 of 2^n cases."""
    return math.ceil(math.log2(2 / alpha))


def _resampled(columns: Sequence[Sequence[float]], resamples: int, seed: int) -> list["NDArray[Any]"]:
    """Sums of each column over as many units, drawn with replacement, in each resample."""
    import numpy as np

    values, count = [np.asarray(column, dtype=float) for column in columns], len(columns[0])
    draws, step = np.random.default_rng(seed), max(1, DRAWN_AT_ONCE // count)
    sums: list[list[Any]] = [[] for _ in values]
    for first in range(0, resamples, step):
        drawn = draws.integers(count, size=(min(step, resamples - first), count))
        for column, made in zip(values, sums, strict=True):
            made.append(column[drawn].sum(axis=1))
    return [np.concatenate(made) for made in sums]


def _ratios(top: "NDArray[Any]", bottom: "NDArray[Any]") -> "NDArray[Any]":
    import numpy as np

    return np.divide(top, bottom, out=np.full_like(top, np.nan), where=bottom > 0)


def _percentiles(values: "NDArray[Any]", units: int, alpha: float) -> Interval:
    """The percentile interval, widened for few units as Student's t is wider than the normal distribution.

    Source: Hesterberg, «What Teachers Should Know About the Bootstrap», The American Statistician 69 (2015), 5.3:
    without it, the interval of a mean of 10 is as if of 92 % instead of 95.
    """
    import numpy as np

    tail = NORMAL.cdf(-_reach(units, alpha))
    low, high = np.nanquantile(values, [tail, 1 - tail])
    return Interval(low=float(low), high=float(high))


def _reach(units: int, alpha: float) -> float:
    """How many standard errors of the resamples the interval reaches on each side."""
    from scipy import stats

    student: Any = stats.t
    return math.sqrt(units / (units - 1)) * float(student.ppf(1 - alpha / 2, units - 1))
