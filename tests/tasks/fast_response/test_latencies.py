"""Percentiles by their stated definition, only where there are samples enough, with their intervals."""

import random
from math import inf, log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.errors import BadInput
from blocks.percentiles import percentile
from tasks.fast_response.call import Call
from tasks.fast_response.gate import judged
from tasks.fast_response.goals import Goal, read_goal
from tasks.fast_response.latencies import PERCENTS, latencies, least_samples

TIMES = st.floats(0.1, 1e6)


@given(st.lists(TIMES, min_size=1, max_size=300), st.sampled_from(PERCENTS))
def test_it_is_numpys_inverted_cdf(values: list[float], percent: int) -> None:
    ordered = sorted(values)
    assert percentile(ordered, percent) == np.percentile(ordered, percent, method="inverted_cdf")


@given(st.lists(TIMES, max_size=300))
def test_percentiles_rise_and_are_latencies_that_somebody_had(values: list[float]) -> None:
    found = latencies(values)
    told = [one for one in found.percentiles if one.value_ms is not None]
    assert [one.percent for one in told] == [one for one in PERCENTS if len(values) >= least_samples(one)]
    assert all(one.value_ms in values for one in told)
    assert [one.value_ms for one in told] == sorted(one.value_ms or 0 for one in told)
    for one in told:
        assert (one.low_ms or 0) <= (one.value_ms or 0) <= (inf if one.high_ms is None else one.high_ms)


@pytest.mark.parametrize(("percent", "samples"), [(50, 2), (90, 10), (95, 20), (99, 100)])
def test_too_few_samples_give_no_percentile(percent: int, samples: int) -> None:
    assert latencies(range(1, samples)).at(percent) is None
    assert latencies(range(1, samples + 1)).at(percent) is not None


def test_no_samples_say_nothing() -> None:
    found = latencies([])
    assert (found.count, found.mean_ms, found.max_ms) == (0, None, None)
    assert [one.value_ms for one in found.percentiles] == [None] * 4


def test_the_interval_holds_the_true_percentile_about_as_often_as_it_says() -> None:
    """An exponential distribution, whose p95 is ln 20."""
    chance, held = random.Random(1), 0
    for _ in range(400):
        [found] = [one for one in latencies(chance.expovariate(1) for _ in range(300)).percentiles if one.percent == 95]
        assert found.low_ms is not None and found.high_ms is not None
        held += found.low_ms <= log(20) <= found.high_ms
    assert 370 <= held <= 396


def test_a_goal_is_judged_by_all_requests_and_one_that_failed_took_for_ever() -> None:
    fast = [Call(turn="1", ttft_ms=10, total_ms=20) for _ in range(95)]
    lost = [Call(turn="1", error="TIMED_OUT", message="late") for _ in range(5)]
    goal = Goal(measure="ttft", percent=95, below_ms=300)
    [met] = judged([*fast, *lost], [goal])
    assert (met.ok, met.found) == (True, "10.0 ms")
    [missed] = judged([*fast[1:], *lost, lost[0]], [goal])
    assert (missed.ok, missed.found) == (False, "a request without an answer")
    [exact] = judged(fast, [Goal(measure="total", percent=50, below_ms=20)])
    assert not exact.ok


def test_goals_are_read_from_short_texts() -> None:
    assert read_goal("total:p99:812.5") == Goal(measure="total", percent=99, below_ms=812.5)
    for wrong in ("ttft:95:300", "ttft:p97:300", "first:p95:300", "ttft:p95:-1", ""):
        with pytest.raises(BadInput, match="--goal"):
            read_goal(wrong)
