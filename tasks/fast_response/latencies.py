"""Percentiles of latencies: which definition, from how many samples, and how sure.

The definition is the inverse of the empirical distribution function (nearest rank): the smallest value that at least
p % of the samples do not exceed. It is definition 1 of Hyndman and Fan, «Sample Quantiles in Statistical Packages», The
American Statistician 50 (1996), and `inverted_cdf` of numpy: always a latency that somebody had, never one interpolated
between two. A percentile needs so many samples that at least one may lie above it: 1 / (1 - p).

The interval holds the true percentile in 95 of 100 measurements, whatever the distribution, by the ranks of the
binomial distribution (Le Boudec, «Performance Evaluation of Computer and Communication Systems», 2010, section 2.2, in
its approximation by the normal). It takes samples for independent, which those of a queue that grows are not.
"""

from collections.abc import Iterable, Sequence
from math import ceil, floor, isinf, sqrt

from blocks.model import Frozen

PERCENTS = (50, 90, 95, 99)
Z = 1.959963984540054
"""The standard normal value that 97.5 of 100 lie below."""


class Percentile(Frozen):
    """One percentile.

    Attributes:
        percent: Which.
        value_ms: None where there are too few samples.
        low_ms: Lower end of its 95 % interval; None where the samples do not reach it.
        high_ms: Upper end, likewise.
    """

    percent: int
    value_ms: float | None = None
    low_ms: float | None = None
    high_ms: float | None = None


class Latencies(Frozen):
    """What samples of a latency say.

    Attributes:
        count: How many there are.
        mean_ms: Their mean; None without samples.
        max_ms: The longest.
        percentiles: p50, p90, p95 and p99.
    """

    count: int
    mean_ms: float | None = None
    max_ms: float | None = None
    percentiles: tuple[Percentile, ...] = ()

    def at(self, percent: int) -> float | None:
        """One of the percentiles in milliseconds."""
        return next((one.value_ms for one in self.percentiles if one.percent == percent), None)


def least_samples(percent: int) -> int:
    """The fewest samples that a percentile is told from: 2 for p50, 20 for p95, 100 for p99."""
    return -(-100 // (100 - percent))


def percentile(ordered: Sequence[float], percent: int) -> float:
    """The percentile of values in ascending order, of which there is at least one."""
    return ordered[max(0, -(-percent * len(ordered) // 100) - 1)]


def latencies(values_ms: Iterable[float]) -> Latencies:
    """What these samples say."""
    ordered = sorted(values_ms)
    if not ordered:
        return Latencies(count=0, percentiles=tuple(Percentile(percent=percent) for percent in PERCENTS))
    return Latencies(
        count=len(ordered),
        mean_ms=sum(ordered) / len(ordered),
        max_ms=ordered[-1],
        percentiles=tuple(_percentile(ordered, percent) for percent in PERCENTS),
    )


def _percentile(ordered: Sequence[float], percent: int) -> Percentile:
    count = len(ordered)
    if count < least_samples(percent):
        return Percentile(percent=percent)
    middle, spread = count * percent / 100, Z * sqrt(count * percent * (100 - percent)) / 100
    low, high = floor(middle - spread), ceil(middle + spread) + 1
    return Percentile(
        percent=percent,
        value_ms=percentile(ordered, percent),
        low_ms=ordered[low - 1] if low >= 1 else None,
        high_ms=ordered[high - 1] if high <= count else None,
    )


def finite(value: float) -> float | None:
    """None for the infinite latency of a request that failed."""
    return None if isinf(value) else value
