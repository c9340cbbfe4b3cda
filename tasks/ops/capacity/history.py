"""A history made ready: samples in equal periods, gaps as gaps, without the drops of resets."""

import math
from typing import TYPE_CHECKING, Literal

from blocks.model import Frozen

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Values = NDArray[np.float64]

DAY_S = 86_400
PERIOD_S = {"hour": 3600, "day": DAY_S}
SEASON = {"hour": 24, "day": 7}
"""Periods after which a history repeats itself: a day of hours, a week of days."""

LEAST = {"hour": 72, "day": 14}
"""Fewer periods than these tell nothing of a trend."""

MOST = {"hour": 24 * 90, "day": 1100}
DAYS_FOR_DAYS = 28
HOURS_FOR_HOURS = 2
"""With samples further apart than this, most hours would be gaps."""

MOST_GAPS = 0.5
HALF_FULL = 0.5
CLEAR = 6.0
"""A drop this many times as large as usual steps between periods is a reset."""

SIGMA = 1.4826
"""Median absolute deviation to standard deviation of normal values."""


class TooLittle(Exception):
    """A history is too short, or has too many gaps, for anything to be said."""


class Samples(Frozen):
    """What a source gives.

    Attributes:
        name: Of the resource.
        times_s: Unix times.
        values: As many.
        limit: At which value it has run out.
        dropped: How many samples could not be read.
    """

    name: str
    times_s: tuple[float, ...]
    values: tuple[float, ...]
    limit: float
    dropped: int = 0


class History(Frozen):
    """A history in equal periods.

    Attributes:
        period: How long each is.
        start_s: Unix time at which the first begins.
        values: One for each period; None: a gap.
        level: As `values`, anchored at the last, without the drops of resets.
        newest: The latest sample, also where its period is left out since it is not half over.
        gaps: How many periods have no sample.
        resets: Unix times of drops that were taken out.
        dropped: How many samples could not be used.
    """

    period: Literal["hour", "day"]
    start_s: float
    values: tuple[float | None, ...]
    level: tuple[float | None, ...]
    newest: float
    gaps: int = 0
    resets: tuple[float, ...] = ()
    dropped: int = 0

    @property
    def period_days(self) -> float:
        """Of a period."""
        return PERIOD_S[self.period] / 86_400

    @property
    def days(self) -> float:
        """That it covers."""
        return len(self.values) * self.period_days

    @property
    def end_s(self) -> float:
        """Unix time at which the last period ends."""
        return self.start_s + len(self.values) * PERIOD_S[self.period]

    @property
    def last(self) -> float:
        """The latest value."""
        return next(one for one in reversed(self.values) if one is not None)


def history_of(samples: Samples, *, counter: bool, aggregate: str, period: str) -> History:
    """The history of samples.

    Args:
        samples: In any order; what is no finite number is dropped, of two at one time the later counts.
        counter: Whether they are of a counter.
        aggregate: What of the samples of a period counts: `max`, `mean` or `last`.
        period: `hour`, `day` or `auto`.

    Raises:
        TooLittle: they are too few.
    """
    import numpy as np

    given = np.column_stack([np.asarray(samples.times_s, float), np.asarray(samples.values, float)])
    good = given[np.isfinite(given).all(axis=1)]
    dropped = samples.dropped + len(given) - len(good)
    if len(good) < 2:
        raise TooLittle(f"there are {len(good)} samples")
    good = good[np.argsort(good[:, 0], kind="stable")]
    good = good[np.append(np.diff(good[:, 0]) > 0, True)]
    times, values, resets = good[:, 0], good[:, 1], np.zeros(0)
    if counter:
        values, resets = _summed(times, values)
    chosen = _period(period, float(times[-1] - times[0]), float(np.median(np.diff(times))))
    start_s, buckets = _in_periods(times, values, PERIOD_S[chosen], aggregate)
    buckets, start_s = buckets[-MOST[chosen] :], start_s + max(0, len(buckets) - MOST[chosen]) * PERIOD_S[chosen]
    there = int(np.isfinite(buckets).sum())
    if there < LEAST[chosen]:
        raise TooLittle(f"there are {there} {chosen}s of history, and {LEAST[chosen]} are needed")
    if there < MOST_GAPS * len(buckets):
        raise TooLittle(f"{len(buckets) - there} of {len(buckets)} {chosen}s are gaps")
    level, drops = (buckets, np.zeros(0, int)) if counter else without_drops(buckets, SEASON[chosen])
    return History(
        period=chosen,
        start_s=start_s,
        values=_listed(buckets),
        level=_listed(level),
        newest=float(values[-1]),
        gaps=len(buckets) - there,
        resets=tuple(float(one) for one in resets) or tuple(float(start_s + one * PERIOD_S[chosen]) for one in drops),
        dropped=dropped,
    )


def without_drops(values: "Values", season: int) -> "tuple[Values, NDArray[np.int64]]":
    """A history without drops that last, as after a clean-up: what was before is moved down to what came after.

    So the growth of all the time is learned, and no further clean-up is counted on. A dip that is made up for within a
    season, as on week-ends, is none.

    Args:
        values: One for each period; NaN: a gap.
        season: Periods after which it repeats itself.

    Returns:
        The history, and the periods at which it dropped.
    """
    import numpy as np

    places = np.flatnonzero(np.isfinite(values))
    there = values[places]
    steps = np.diff(there)
    usual = float(np.median(steps))
    spread = SIGMA * float(np.median(np.abs(steps - usual)))
    clear = max(CLEAR * spread, 0.05 * float(np.ptp(there)), 1e-12)
    drops: list[int] = []
    for place in np.flatnonzero(steps - usual < -clear):
        before, after = there[max(0, place + 1 - season) : place + 1], there[place + 1 : place + 1 + season]
        enough = min(len(before), len(after)) >= min(season, 3)
        if enough and np.median(after) - np.median(before) < 0.5 * (steps[place] - usual):
            drops.append(int(place))
    level = values.copy()
    for place in drops:
        level[: places[place] + 1] += steps[place] - usual
    return level, places[[place + 1 for place in drops]] if drops else np.zeros(0, int)


def _summed(times: "Values", values: "Values") -> "tuple[Values, Values]":
    """A counter's growth since its first sample, and when it began anew: then all it shows was counted since."""
    import numpy as np

    steps = np.diff(values)
    fell = steps < 0
    grown = np.where(fell, values[1:], steps)
    return values[0] + np.append(0.0, np.cumsum(grown)), times[1:][fell]


def _period(asked: str, span_s: float, step_s: float) -> Literal["hour", "day"]:
    if asked == "auto":
        return "day" if span_s >= DAYS_FOR_DAYS * DAY_S or step_s > HOURS_FOR_HOURS * PERIOD_S["hour"] else "hour"
    return "day" if asked == "day" else "hour"


def _in_periods(times: "Values", values: "Values", period_s: int, aggregate: str) -> "tuple[float, Values]":
    """Values by period; the latest one only where it is half over, as its peak may still come."""
    import numpy as np

    numbers = (times // period_s).astype(np.int64)
    first = int(numbers[0])
    buckets = np.full(int(numbers[-1]) - first + 1, np.nan)
    edges = np.flatnonzero(np.append(True, np.diff(numbers) > 0))
    counts = np.diff(np.append(edges, len(values)))
    found = {
        "max": lambda: np.maximum.reduceat(values, edges),
        "mean": lambda: np.add.reduceat(values, edges) / counts,
        "last": lambda: values[edges + counts - 1],
    }[aggregate]()
    buckets[numbers[edges] - first] = found
    usual = float(np.median(counts))
    if len(counts) > 1 and counts[-1] < HALF_FULL * usual:
        buckets = buckets[:-1]
        buckets = buckets[: int(np.flatnonzero(np.isfinite(buckets))[-1]) + 1]
    return float(first * period_s), buckets


def _listed(values: "Values") -> tuple[float | None, ...]:
    return tuple(None if math.isnan(one) else float(one) for one in values.tolist())
