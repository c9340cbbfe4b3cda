"""When resources run out: series of which we know it."""

import numpy as np
import pytest

from tasks.ops.capacity.forecast import Asked, Forecast, forecast
from tasks.ops.capacity.history import Samples, history_of
from tests.tasks.ops.capacity.series import AHEAD, KINDS, Made, samples, series_of, straight, weekly

NOMINAL = 0.9


def foretold(given: Samples, **more: object) -> Forecast:
    history = history_of(given, counter=False, aggregate="max", period="auto")
    asked = {"limit": given.limit, "horizon_days": AHEAD, "confidence": NOMINAL, "runway_days": 180, "seed": given.name}
    return forecast(history, Asked(**asked | more))  # type: ignore[arg-type]


def holds(found: Forecast, made: Made) -> bool:
    """Whether the interval holds what came; what did not come while looked ahead lies beyond an open end."""
    early, late, truth = (
        np.inf if one is None else one for one in (found.earliest_days, found.latest_days, made.truth_days)
    )
    return bool(early <= truth <= late)


def least_held(count: int, chance: float = NOMINAL, unlikely: float = 0.001) -> int:
    """So many of a number are held but in one of a thousand cases, if each is with this chance."""
    from scipy.stats import binom

    return int(binom.ppf(unlikely, count, chance))


@pytest.mark.timeout(900)
def test_the_interval_holds_what_comes() -> None:
    series = [series_of(kind, 1) for kind in KINDS]
    held = sum(holds(foretold(one.samples), one) for one in series)
    assert held >= least_held(len(series)), f"{held} of {len(series)}"


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", KINDS)
def test_the_interval_holds_nine_of_ten(kind: str) -> None:
    series = [series_of(kind, 1000 + number) for number in range(100)]
    found = [foretold(one.samples) for one in series]
    held = sum(holds(one, made) for one, made in zip(found, series, strict=True))
    width = np.median([(one.latest_days or AHEAD) - (one.earliest_days or AHEAD) for one in found])
    print(f"{kind}: {held} of {len(series)} held, median width {width:g} days", flush=True)
    # Variances are estimated, too, and of a wandering level poorly: that costs some of the nine.
    assert held >= least_held(len(series), 0.85)


def test_the_day_of_a_line_is_found() -> None:
    made = samples(100 + 2.0 * np.arange(100) + np.random.default_rng(1).normal(0, 0.5, 100), limit=500.0)
    found = foretold(made)
    assert found.likely_days == pytest.approx(101, abs=3)  # 100 + 2 · 200 = 500
    assert found.earliest_days and found.latest_days and found.latest_days - found.earliest_days < 15
    assert found.per_day == pytest.approx(2.0, abs=0.1) and found.needed == pytest.approx(298 + 360, abs=15)


def test_the_same_history_gives_the_same() -> None:
    made = series_of("straight", 1).samples
    assert foretold(made) == foretold(made)


def test_a_week_is_seen_and_foretold() -> None:
    found = foretold(samples(weekly(np.random.default_rng(5), 120), limit=1e6))
    assert found.season == 7
    middle = np.array(found.middle[:14]) - 1.2 * np.arange(14)
    assert np.ptp(middle) == pytest.approx(38, abs=12)  # the week's own height
    assert foretold(samples(straight(np.random.default_rng(5), 120), limit=1e6)).season is None


def test_growth_by_a_share_is_chosen_by_the_backtest() -> None:
    found = foretold(series_of("growing", 2).samples)
    best = found.model.split(" + ")[0]
    assert best == "growth by a share" and found.scores[best] == min(found.scores.values())


def test_what_does_not_grow_does_not_run_out() -> None:
    flat = 100 + np.random.default_rng(7).normal(0, 1, 120)
    falling = 1000 - 3.0 * np.arange(120) + np.random.default_rng(7).normal(0, 5, 120)
    for values, limit in ((flat, 1000.0), (falling, 1100.0)):
        found = foretold(samples(values, limit))
        assert found.earliest_days is None and found.likely_days is None and found.share < 0.05


@pytest.mark.parametrize("values", [[5.0] * 60, [0.0] * 60, list(range(60))])
def test_histories_without_noise_are_taken(values: list[float]) -> None:
    found = foretold(samples(values, limit=100.0))
    if values[-1] == 59:
        assert found.likely_days == pytest.approx(41, abs=2)
    else:
        assert found.likely_days is None


def test_sizes_do_not_matter() -> None:
    made = series_of("straight", 3)
    small, large = (
        foretold(
            made.samples.model_copy(
                update={
                    "values": tuple(one * scale for one in made.samples.values),
                    "limit": made.samples.limit * scale,
                }
            )
        )
        for scale in (1.0, 1e12)
    )
    assert large.likely_days == pytest.approx(small.likely_days, rel=0.05)


def test_gaps_widen_nothing_to_nonsense() -> None:
    made = series_of("straight", 4)
    kept = [number for number in range(len(made.samples.values)) if number % 3 or number > 100]
    gappy = made.samples.model_copy(
        update={
            "times_s": tuple(made.samples.times_s[one] for one in kept),
            "values": tuple(made.samples.values[one] for one in kept),
        }
    )
    whole, found = foretold(made.samples), foretold(gappy)
    assert found.likely_days == pytest.approx(whole.likely_days, rel=0.15)


def test_no_further_is_looked_than_four_times_back() -> None:
    found = foretold(samples(straight(np.random.default_rng(1), 30), limit=1e6))
    assert found.looked_days == 120
