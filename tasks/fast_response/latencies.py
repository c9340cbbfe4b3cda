"""Percentiles of latencies: from how many samples, and how sure.

Definition and interval are those of `blocks.percentiles`; the samples of a queue that grows are not independent, as the
interval takes them for. A percentile needs so many samples that at least one may lie above it: 1 / (1 - p).
"""

from collections.abc import Iterable, Sequence
from math import isinf

from blocks.model import Frozen
from blocks.percentiles import interval, percentile

PERCENTS = (50, 90, 95, 99)


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
    if len(ordered) < least_samples(percent):
        return Percentile(percent=percent)
    low_ms, high_ms = interval(ordered, percent)
    return Percentile(percent=percent, value_ms=percentile(ordered, percent), low_ms=low_ms, high_ms=high_ms)


def finite(value: float) -> float | None:
    """None for the infinite latency of a request that failed."""
    return None if isinf(value) else value
