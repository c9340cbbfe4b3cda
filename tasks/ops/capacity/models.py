"""Models of a resource's use: each draws what may come."""

import warnings
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Values = NDArray[np.float64]

HARMONICS = 3
RESEMBLES = 0.6
"""With a higher correlation of neighbours, what a line leaves is no noise around it: of 40 random walks with drift, a
line's interval of 90 % held the day of 10."""

PAIRS_OF = 150
"""Slopes are taken between so many places of a history at most: their number grows with the square."""


@dataclass(frozen=True)
class Draw:
    """What is to be drawn.

    Attributes:
        periods: How far ahead.
        paths: How many.
        season: Periods after which it repeats itself; None: it does not.
        random: Where chance comes from.
    """

    periods: int
    paths: int
    season: int | None
    random: "np.random.Generator"


Model = Callable[["Values", Draw], "Values"]
"""Takes a history, gaps as NaN; gives paths of what may come, as [path, period]. May raise `ValueError` or numpy's
`LinAlgError` where the history does not suit it."""


def robust_line(values: "Values", draw: Draw) -> "Values":
    """A straight line by the median of slopes, the season of STL, and blocks of what is left drawn anew.

    The line is fitted again to each history that is drawn, so that the paths hold what is not known of its slope, too.
    A history that wanders off its line is refused.

    Source: Theil 1950, Sen 1968 (slope); Cleveland et al. 1990 (STL); Künsch 1989 (blocks).
    """
    import numpy as np

    known = np.isfinite(values)
    places = np.arange(len(values), dtype=float)
    season = _season_of(values, draw.season)
    flat = values - season[: len(values)]
    slope, base = _theil_sen(places[known], flat[known])
    left = np.where(known, flat - base - slope * places, np.nan)[known]
    left = left - left.mean()
    if _resemblance(left, float(np.ptp(values[known]))) > RESEMBLES:
        raise ValueError("what a line leaves wanders: it would not come back to the line")
    block = max(1, min(len(left) // 4, draw.season or round(len(left) ** (1 / 3))))
    ahead = np.arange(len(values), len(values) + draw.periods, dtype=float)
    paths = np.empty((draw.paths, draw.periods))
    for number in range(draw.paths):
        again = base + slope * places[known] + _blocks(left, int(known.sum()), block, draw.random)
        slope_then, base_then = _theil_sen(places[known], again)
        paths[number] = base_then + slope_then * ahead + _blocks(left, draw.periods, block, draw.random)
    return paths + season[len(values) : len(values) + draw.periods]


def growth(values: "Values", draw: Draw) -> "Values":
    """As `robust_line`, of the logarithm: growth by a share of what there is."""
    import numpy as np

    if not np.nanmin(values) > 0:
        raise ValueError("only what is above 0 grows by a share of itself")
    with np.errstate(over="ignore"):
        return np.exp(np.minimum(robust_line(np.log(values), draw), 700.0))


def structural(values: "Values", draw: Draw) -> "Values":
    """A level and a slope that both wander, with a season: Harvey's structural model, filtered by Kalman."""
    return _state_space(values, draw, "lltrend")


def drift(values: "Values", draw: Draw) -> "Values":
    """A level that wanders along a fixed slope, with a season."""
    return _state_space(values, draw, "lldtrend")


def exponential_smoothing(values: "Values", draw: Draw) -> "Values":
    """Exponential smoothing with trend and season (Holt and Winters), as a state space; gaps are filled by lines."""
    import numpy as np
    from statsmodels.tsa.exponential_smoothing.ets import ETSModel

    seasonal: dict[str, Any] = {"seasonal": "add", "seasonal_periods": draw.season} if draw.season else {}
    with _quiet():
        fitted: Any = ETSModel(_filled(values), error="add", trend="add", **seasonal).fit(disp=False)
        simulated: Any = fitted.simulate(
            draw.periods, anchor="end", repetitions=draw.paths, rng=np.random.RandomState(draw.random.integers(2**31))
        )
    return np.asarray(simulated, float).reshape(draw.periods, draw.paths).T


MODELS: Mapping[str, Model] = {
    "robust line": robust_line,
    "growth by a share": growth,
    "structural": structural,
    "drift": drift,
    "exponential smoothing": exponential_smoothing,
}


def seasonal_strength(values: "Values", season: int) -> float:
    """Share of what a trend leaves that a season explains, 0 to 1; 0 where there are fewer than three seasons.

    Source: Wang, Smith and Hyndman 2006.
    """
    import numpy as np

    if len(values) < 3 * season or np.ptp(_filled(values)) == 0:
        return 0.0
    split = _stl(values, season)
    together = float(np.var(split.seasonal + split.resid))
    return 0.0 if together == 0 else max(0.0, 1 - float(np.var(split.resid)) / together)


def _state_space(values: "Values", draw: Draw, level: str) -> "Values":
    import numpy as np
    from statsmodels.tsa.statespace.structural import UnobservedComponents

    scale = float(np.nanstd(values)) or 1.0  # likelihoods of bytes by the terabyte are flat to an optimiser
    with _quiet():
        told: dict[str, Any] = {"level": level}  # a name, though its declared type says bool
        if draw.season:
            told["freq_seasonal"] = [{"period": draw.season, "harmonics": min(HARMONICS, draw.season // 2)}]
            told["stochastic_freq_seasonal"] = [False]
        model: Any = UnobservedComponents(values / scale, **told)
        fitted: Any = model.fit(disp=False, maxiter=200)
        # The state at the end is drawn, too: so the paths hold what is not known of level and slope.
        simulated: Any = fitted.simulate(
            draw.periods, anchor="end", repetitions=draw.paths, rng=np.random.RandomState(draw.random.integers(2**31))
        )
    return np.asarray(simulated, float).reshape(draw.periods, draw.paths).T * scale


def _season_of(values: "Values", season: int | None) -> "Values":
    """What the season adds, for the history and as long again as anybody looks ahead."""
    import numpy as np

    ahead = 4 * len(values) + 2000
    if season is None:
        return np.zeros(len(values) + ahead)
    seasonal = np.asarray(_stl(values, season).seasonal)
    return np.append(seasonal, np.resize(seasonal[-season:], ahead))


def _stl(values: "Values", season: int) -> Any:
    from statsmodels.tsa.seasonal import STL

    return STL(_filled(values), period=season, robust=True).fit()


def _theil_sen(places: "Values", values: "Values") -> tuple[float, float]:
    """Slope and base of a line that a third of wild values does not move."""
    import numpy as np

    chosen = np.unique(np.linspace(0, len(places) - 1, min(len(places), PAIRS_OF)).round().astype(int))
    x, y = places[chosen], values[chosen]
    first, second = np.triu_indices(len(x), 1)
    slope = float(np.median((y[second] - y[first]) / (x[second] - x[first])))
    return slope, float(np.median(values - slope * places))


def _resemblance(left: "Values", height: float) -> float:
    """Correlation of neighbours; 0 where there is nothing but rounding."""
    import numpy as np

    spread = float(np.var(left))
    if spread <= (1e-9 * height) ** 2 or len(left) < 3:
        return 0.0
    return float(np.mean(left[1:] * left[:-1]) / spread)


def _blocks(left: "Values", length: int, block: int, random: "np.random.Generator") -> "Values":
    """So many values, drawn in blocks, since neighbours resemble each other."""
    import numpy as np

    starts = random.integers(0, len(left) - block + 1, size=-(-length // block))
    return left[(starts[:, None] + np.arange(block)).ravel()[:length]]


def _filled(values: "Values") -> "Values":
    import numpy as np

    known = np.isfinite(values)
    return np.interp(np.arange(len(values)), np.flatnonzero(known), values[known])


@contextmanager
def _quiet() -> Generator[None]:
    """statsmodels warns where an optimiser stops early; the backtest judges what comes of it."""
    import numpy as np

    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield
