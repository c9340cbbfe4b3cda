"""Percentiles: which definition, and how sure.

The definition is the inverse of the empirical distribution function (nearest rank): the smallest value that at least
p % of the values do not exceed. It is definition 1 of Hyndman and Fan, «Sample Quantiles in Statistical Packages», The
American Statistician 50 (1996), and `inverted_cdf` of numpy: always a value that there was, never one interpolated
between two.

The interval holds the true percentile in 95 of 100 measurements, whatever the distribution, by the ranks of the
binomial distribution (Le Boudec, «Performance Evaluation of Computer and Communication Systems», 2010, section 2.2, in
its approximation by the normal). It takes values for independent.
"""

from collections.abc import Sequence
from math import ceil, floor, sqrt

Z = 1.959963984540054
"""The standard normal value that 97.5 of 100 lie below."""


def percentile(ordered: Sequence[float], percent: int) -> float:
    """The percentile of values in ascending order, of which there is at least one."""
    return ordered[max(0, -(-percent * len(ordered) // 100) - 1)]


def interval(ordered: Sequence[float], percent: int) -> tuple[float | None, float | None]:
    """The ends of the 95 % interval of a percentile of ascending values; None where these do not reach one."""
    count = len(ordered)
    middle, spread = count * percent / 100, Z * sqrt(count * percent * (100 - percent)) / 100
    low, high = floor(middle - spread), ceil(middle + spread) + 1
    return ordered[low - 1] if low >= 1 else None, ordered[high - 1] if high <= count else None
