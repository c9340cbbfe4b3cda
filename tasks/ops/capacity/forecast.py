"""When a resource runs out: the models that would have foretold its own past best, and the days their paths give."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import TYPE_CHECKING

from blocks.model import Frozen
from tasks.ops.capacity.history import SEASON, History
from tasks.ops.capacity.models import MODELS, Draw, seasonal_strength

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Values = NDArray[np.float64]

PATHS, TEST_PATHS = 1000, 200
FOLDS = 3
NEARLY = 1.1
"""Models whose score is at most so many times the best are used together: a short backtest cannot tell them apart, and
where they differ far ahead, the interval must be as wide."""

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
TELLING = 0.3
"""With a season of less strength there is none."""

FURTHEST = 4
"""Times the history that is looked ahead."""


class Forecast(Frozen):
    """When a resource runs out.

    Attributes:
        model: Which foretold the past best; those nearly as good are used with it, joined by ` + `.
        scores: Of each model: how far off it was in the backtest, in units of the value; less is better.
        season: Periods after which it repeats itself; None: it does not.
        held: Share of the values in the backtest that the intervals of these held.
        looked_days: How far was looked ahead.
        likely_days: Days until it runs out, in the middle of all paths; None: not while looked ahead.
        earliest_days, latest_days: The interval; None: not while looked ahead.
        share: Of the paths that run out while looked ahead.
        per_day: How much it grows each day, in the middle of all paths.
        needed: The limit that it would need for the runway, by the upper end of the interval.
        middle, low, high: The paths by period: the middle and the interval, for a picture.
    """

    model: str
    scores: dict[str, float]
    season: int | None
    held: float
    looked_days: float
    likely_days: float | None
    earliest_days: float | None
    latest_days: float | None
    share: float
    per_day: float
    needed: float
    middle: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


@dataclass(frozen=True)
class Asked:
    """What is asked of a forecast, whose days begin where the history ends; see `Resource`."""

    limit: float
    horizon_days: float
    confidence: float
    runway_days: float
    seed: str


def forecast(history: History, asked: Asked) -> Forecast:
    """When a resource runs out; the same each time, as its name gives the chance its seed.

    Raises:
        ValueError: no model takes the history.
    """
    import numpy as np

    values = np.array([np.nan if one is None else one for one in history.level], float)
    random = np.random.default_rng(int.from_bytes(sha256(asked.seed.encode()).digest()[:8]))
    season = SEASON[history.period]
    season = season if seasonal_strength(values, season) >= TELLING else None
    scores, held = backtest(values, season, asked.confidence, random)
    days = min(asked.horizon_days, FURTHEST * history.days)
    periods = max(1, round(days / history.period_days))
    used, paths = _pooled(values, Draw(periods, PATHS, season, random), scores)
    low, middle, high = np.quantile(paths, _ends(asked.confidence), axis=0)
    out = days_until(paths, asked.limit) * history.period_days
    runway = max(1, min(periods, round(asked.runway_days / history.period_days)))
    early, likely, late = _days_at(out, _ends(asked.confidence))
    return Forecast(
        model=" + ".join(used),
        scores={name: float(score) for name, score in scores.items()},
        season=season,
        held=float(np.mean([held[name] for name in used])),
        looked_days=days,
        likely_days=likely,
        earliest_days=early,
        latest_days=late,
        share=float(np.isfinite(out).mean()),
        per_day=float((middle[-1] - middle[0]) / max(periods - 1, 1) / history.period_days),
        needed=float(np.quantile(paths[:, :runway].max(axis=1), _ends(asked.confidence)[2])),
        middle=tuple(middle.tolist()),
        low=tuple(low.tolist()),
        high=tuple(high.tolist()),
    )


def backtest(
    values: "Values", season: int | None, confidence: float, random: "np.random.Generator"
) -> tuple[dict[str, float], dict[str, float]]:
    """How well each model foretells the last parts of a history from what was before.

    Returns:
        By model: the mean pinball loss of its quantiles, and the share of values that its interval held.

    Raises:
        ValueError: no model takes the history.
    """
    import numpy as np

    ahead = max(season or 1, len(values) // 5)
    ends = [
        end for end in (len(values) - ahead - fold * ahead // 2 for fold in range(FOLDS)) if end >= len(values) // 2
    ]
    scores: dict[str, float] = {}
    held: dict[str, float] = {}
    for name in MODELS:
        losses: list[float] = []
        inside: list[float] = []
        try:
            for end in ends:
                paths = _drawn(name, values[:end], Draw(ahead, TEST_PATHS, season, random))
                truth = values[end : end + ahead]
                losses.append(_pinball(paths, truth))
                low, _, high = np.quantile(paths, _ends(confidence), axis=0)
                known = np.isfinite(truth)
                inside.append(float(((truth >= low) & (truth <= high))[known].mean()) if known.any() else np.nan)
        except ValueError:
            continue  # this history does not suit it: the scores tell which models were tried
        if np.isfinite(np.nanmean(losses)):
            scores[name], held[name] = float(np.nanmean(losses)), float(np.nanmean(inside))
    if not scores:
        raise ValueError("no model takes the history")
    return scores, held


def _pooled(values: "Values", draw: Draw, scores: Mapping[str, float]) -> "tuple[list[str], Values]":
    """Paths of the model that foretold the past best, and of those nearly as good. Raises `ValueError`: none does."""
    import numpy as np

    good = NEARLY * min(scores.values())
    ranked = sorted(scores, key=lambda name: scores[name])
    share = replace(draw, paths=-(-draw.paths // max(1, sum(scores[name] <= good for name in ranked))))
    drawn: dict[str, Values] = {}
    for name in ranked:
        if drawn and scores[name] > good:
            break
        with suppress(ValueError):
            drawn[name] = _drawn(name, values, share)
    if not drawn:
        raise ValueError("no model takes the history")
    return [*drawn], np.concatenate([*drawn.values()])


def _drawn(name: str, values: "Values", draw: Draw) -> "Values":
    """Paths of a model. Raises `ValueError`: the history does not suit it."""
    import numpy as np

    try:
        paths = MODELS[name](values, draw)
    except np.linalg.LinAlgError as error:
        raise ValueError(str(error)) from error
    if not np.isfinite(paths).all():
        raise ValueError("it goes beyond all bounds")
    return paths


def days_until(paths: "Values", limit: float) -> "Values":
    """By path: after how many periods it first reaches the limit; infinity: never."""
    import numpy as np

    reached = paths >= limit
    return np.where(reached.any(axis=1), reached.argmax(axis=1) + 1.0, np.inf)


def _pinball(paths: "Values", truth: "Values") -> float:
    """Mean pinball loss of the quantiles; half of it is about the continuous ranked probability score."""
    import numpy as np

    known = np.isfinite(truth)
    if not known.any():
        return float("nan")
    found = np.quantile(paths[:, known], QUANTILES, axis=0)
    off = truth[known] - found
    shares = np.array(QUANTILES)[:, None]
    return float(np.maximum(shares * off, (shares - 1) * off).mean())


def _ends(confidence: float) -> tuple[float, float, float]:
    return (1 - confidence) / 2, 0.5, (1 + confidence) / 2


def _days_at(out: "Values", shares: tuple[float, float, float]) -> tuple[float | None, float | None, float | None]:
    import numpy as np

    ordered = np.sort(out)
    found = [float(ordered[min(len(ordered) - 1, round(share * (len(ordered) - 1)))]) for share in shares]
    early, likely, late = (one if np.isfinite(one) else None for one in found)
    return early, likely, late
