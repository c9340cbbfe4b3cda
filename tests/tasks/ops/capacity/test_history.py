"""Histories made ready: gaps, resets, wild samples, too little."""

import math
from typing import Any

import numpy as np
import pytest

from tasks.ops.capacity.history import History, Samples, TooLittle, history_of
from tests.tasks.ops.capacity.series import BEGIN_S, DAY_S, samples, straight, weekly


def ready(given: Samples, **more: Any) -> History:
    return history_of(given, **{"counter": False, "aggregate": "max", "period": "auto"} | more)


def test_samples_become_days_in_any_order_and_without_what_is_no_number() -> None:
    values = [float(number) for number in range(40 * 24)]
    made = samples(values, step_s=3600)
    order = np.random.default_rng(1).permutation(len(values))
    times, shown = [made.times_s[one] for one in order], [made.values[one] for one in order]
    wild = Samples(
        name="x",
        times_s=(*times, BEGIN_S + 10.0, math.nan, BEGIN_S + 20.0),
        values=(*shown, math.nan, 5.0, math.inf),
        limit=1.0,
    )
    history = ready(wild)
    assert history.period == "day" and history.dropped == 3 and history.gaps == 0
    assert history.values == tuple(float(24 * day + 23) for day in range(40))


def test_the_later_of_two_samples_of_one_time_counts() -> None:
    made = samples(range(40))
    doubled = made.model_copy(update={"times_s": (*made.times_s, made.times_s[3]), "values": (*made.values, 77.0)})
    assert ready(doubled).values[3] == 77.0


def test_gaps_are_told_and_stay_gaps() -> None:
    made = samples(range(60))
    kept = [number for number in range(60) if not 20 <= number < 30]
    gappy = made.model_copy(
        update={"times_s": tuple(made.times_s[one] for one in kept), "values": tuple(made.values[one] for one in kept)}
    )
    history = ready(gappy)
    assert history.gaps == 10 and history.values[20:30] == (None,) * 10 and history.values[30] == 30


@pytest.mark.parametrize("count", [0, 1, 2, 13])
def test_too_little_is_told(count: int) -> None:
    with pytest.raises(TooLittle):
        ready(samples(range(count)), period="day")


def test_too_many_gaps_are_told() -> None:
    made = samples(range(100))
    kept = (*range(10), *range(90, 100))
    with pytest.raises(TooLittle, match="80 of 100"):
        ready(
            made.model_copy(
                update={
                    "times_s": tuple(made.times_s[one] for one in kept),
                    "values": tuple(made.values[one] for one in kept),
                }
            )
        )


def test_what_is_shorter_than_four_weeks_is_taken_by_the_hour() -> None:
    history = ready(samples(range(7 * 24), step_s=3600))
    assert history.period == "hour" and history.days == 7


def test_an_unfinished_day_is_left_out() -> None:
    values = [float(number % 24) for number in range(40 * 24 + 5)]
    assert (
        set(ready(samples(values, step_s=3600)).values) == {23.0}
        and len(ready(samples(values, step_s=3600)).values) == 40
    )


def test_drops_that_last_are_taken_out() -> None:
    values = straight(np.random.default_rng(3), 100)
    values[60:] -= 70
    history = ready(samples(values))
    assert history.resets == (float(BEGIN_S + 60 * DAY_S),) and history.values[59] == pytest.approx(values[59])
    level = np.array(history.level, float)
    assert level[-1] == values[-1]
    assert np.polyfit(np.arange(100), level, 1)[0] == pytest.approx(1.5, abs=0.2)


def test_weekends_and_noise_are_no_drops() -> None:
    for seed in range(20):
        for make in (weekly, straight):
            assert not ready(samples(make(np.random.default_rng(seed), 120))).resets, (make, seed)


def test_a_single_wild_sample_is_no_drop() -> None:
    values = straight(np.random.default_rng(3), 100)
    values[50] = 0
    assert not ready(samples(values)).resets


def test_a_counter_that_begins_anew_goes_on() -> None:
    counted = np.arange(0, 120, 2.0)
    counted[30:] -= counted[30] - 1  # the program began anew, and has counted 1 since
    history = ready(samples(counted), counter=True)
    assert history.resets == (float(BEGIN_S + 30 * DAY_S),)
    assert history.values[29:32] == (58.0, 59.0, 61.0) and history.last == 117.0


def test_the_period_is_found_from_the_samples() -> None:
    with pytest.raises(TooLittle, match="5 days of history, and 14"):
        ready(samples(range(5)))
    assert ready(samples(range(20))).period == "day"
    assert ready(samples(range(60), step_s=21_600)).period == "day"
    assert ready(samples(range(100), step_s=3600)).period == "hour"
    assert ready(samples(range(100), step_s=7200)).period == "hour"
