"""Whether a figure differs from that of the period before by more than chance does.

Where no test can tell, nothing is marked: a mark should be worth a look.
"""

from collections.abc import Sequence
from math import sqrt

from blocks.percentiles import interval, percentile

SIGMAS = 3.0
"""Shewhart's limits, as those of unusual costs; NIST/SEMATECH e-Handbook of Statistical Methods, 6.3.1."""

LEAST = 5
"""Values, slices or events; fewer say nothing."""

LEAST_SPREAD = 0.1
"""Part of the mean that slices differ by at least: what is the same in each is not marked for a little more."""


def totals_differ(now: Sequence[float], before: Sequence[float], *, are_counts: bool = False) -> bool:
    """Whether a total has changed, by its parts in equal slices of the two periods, which are paired.

    Pairs take out what every day is like, and what comes in a burst counts as one slice, not as many events; slices of
    which neither has anything, as the hours of the night, say nothing. Source: the paired t test, NIST/SEMATECH
    e-Handbook 7.3.1.1.

    Args:
        now, before: By slice.
        are_counts: Of events, which scatter at least as much as those of Poisson's law.
    """
    pairs = [(one, other) for one, other in zip(now, before, strict=True) if one or other]
    count, change = len(pairs), sum(one - other for one, other in pairs)
    if count < LEAST or not change:
        return False
    spread = sum((one - other - change / count) ** 2 for one, other in pairs) * count / (count - 1)
    whole = sum(one + other for one, other in pairs)
    least = max((LEAST_SPREAD * whole / 2) ** 2 / count, whole if are_counts else 0.0)
    return abs(change) > _sigmas(count - 1) * sqrt(max(spread, least))


def shares_differ(part_now: int, all_now: int, part_before: int, all_before: int) -> bool:
    """Whether a share has changed: the test of two proportions, NIST/SEMATECH e-Handbook 7.3.3."""
    if not all_now or not all_before or part_now + part_before < LEAST:
        return False
    pooled = (part_now + part_before) / (all_now + all_before)
    error = sqrt(pooled * (1 - pooled) * (1 / all_now + 1 / all_before))
    return abs(part_now / all_now - part_before / all_before) > SIGMAS * error


def means_differ(now: Sequence[float], before: Sequence[float]) -> bool:
    """Whether a mean has changed: Welch's test, NIST/SEMATECH e-Handbook 7.3.1."""
    if min(len(now), len(before)) < LEAST:
        return False
    (mean_now, error_now), (mean_before, error_before) = (_mean_and_error(one) for one in (now, before))
    return abs(mean_now - mean_before) > _sigmas(min(len(now), len(before)) - 1) * sqrt(error_now + error_before)


def quantiles_differ(now: Sequence[float], before: Sequence[float], percent: int) -> bool:
    """Whether a percentile of ascending values has changed: its intervals of the two periods have nothing in common."""
    (low, high), (low_before, high_before) = interval(now, percent), interval(before, percent)
    if low is None or high is None or low_before is None or high_before is None:
        return False
    return low > high_before or high < low_before


def quantile(ordered: Sequence[float], percent: int) -> float | None:
    """The percentile of ascending values; None without values."""
    return percentile(ordered, percent) if ordered else None


def _mean_and_error(values: Sequence[float]) -> tuple[float, float]:
    """The mean, and the square of its standard error."""
    count = len(values)
    mean = sum(values) / count
    return mean, sum((one - mean) ** 2 for one in values) / (count - 1) / count


def _sigmas(freedom: int) -> float:
    """So many standard errors of so few values are as rare as SIGMAS of many.

    Source: Abramowitz and Stegun, «Handbook of Mathematical Functions», 26.7.5: Student's t by the normal.
    """
    z = SIGMAS
    first, second = (z**3 + z) / 4, (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / freedom + second / freedom**2 + third / freedom**3
