"""Series of which we know when they run out: made from a trend, a season and noise, and cut off before that."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tasks.ops.capacity.history import Samples

DAY_S = 86_400
BEGIN_S = 1_750_000_000 // DAY_S * DAY_S


@dataclass(frozen=True)
class Made:
    """A series and its future.

    Attributes:
        samples: Its history, one a day.
        truth_days: After so many days of what came then it reached the limit; None: it did not.
    """

    samples: Samples
    truth_days: float | None


def samples(values: Any, limit: float = 1e9, name: str = "disk", step_s: int = DAY_S) -> Samples:
    """Samples at equal distances."""
    times = tuple(float(BEGIN_S + number * step_s) for number in range(len(values)))
    return Samples(name=name, times_s=times, values=tuple(float(one) for one in values), limit=limit)


def made(values: Any, known: int, limit: float, name: str) -> Made:
    """The first values as history; the others are what came then."""
    over = np.flatnonzero(values[known:] >= limit)
    return Made(samples(values[:known], limit, name), float(over[0] + 1) if len(over) else None)


def straight(random: np.random.Generator, days: int) -> Any:
    """A line with noise."""
    return 100 + 1.5 * np.arange(days) + random.normal(0, 6, days)


def weekly(random: np.random.Generator, days: int) -> Any:
    """A line with a week in it."""
    week = np.array([0, 2, 4, 5, 3, -12, -14]) * 2.0
    return 200 + 1.2 * np.arange(days) + week[np.arange(days) % 7] + random.normal(0, 4, days)


def wandering(random: np.random.Generator, days: int) -> Any:
    """A random walk with drift."""
    return 100 + np.cumsum(1.5 + random.normal(0, 4, days))


def growing(random: np.random.Generator, days: int) -> Any:
    """Growth by a share."""
    return 100 * np.exp(0.012 * np.arange(days) + random.normal(0, 0.02, days))


KINDS: dict[str, tuple[Callable[[np.random.Generator, int], Any], float]] = {
    "straight": (straight, 380.0),
    "weekly": (weekly, 430.0),
    "wandering": (wandering, 380.0),
    "growing": (growing, 1000.0),
}
KNOWN, AHEAD = 120, 480


def series_of(kind: str, number: int) -> Made:
    """One of a kind, the same each time."""
    make, limit = KINDS[kind]
    random = np.random.default_rng([number, *kind.encode()])
    return made(make(random, KNOWN + AHEAD), KNOWN, limit, f"{kind}-{number}")
