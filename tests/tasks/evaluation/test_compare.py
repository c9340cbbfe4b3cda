"""Two systems side by side: real differences are called, and noise is not."""

import math

import pytest

from tasks.evaluation.bootstrap import interval, least_units, paired
from tasks.evaluation.compare import compare, totals_of
from tasks.evaluation.evaluation import EvaluationOptions, Outcome
from tasks.evaluation.fields import FieldScore
from tasks.evaluation.scores import CaseFailure, CaseScore
from tasks.evaluation.word_times import TimeErrors
from tasks.evaluation.words import Errors
from tests.tasks.evaluation.simulated import result, two_systems

QUICK = EvaluationOptions(resamples=1_000)


def wer(case: str, errors: int, words: int, group: str | None = None) -> CaseScore:
    return CaseScore(case=case, group=group, words=Errors(substitutions=errors, reference=words))


def outcome_of(seed: int, points: float, shared: float, options: EvaluationOptions = QUICK) -> Outcome:
    return compare(*two_systems(seed, points, shared), options).verdict.outcome


def test_a_difference_of_two_points_is_called_and_noise_is_not() -> None:
    """Of ten seeds each; the soak test has the rates."""
    assert [outcome_of(seed, 2.0, 0.5) for seed in range(10)].count("worse") >= 9
    assert [outcome_of(seed, 0.0, 0.5) for seed in range(10)].count("no difference shown") >= 8


def test_who_is_better_depends_on_who_is_asked_about() -> None:
    candidate, baseline = two_systems(1, 3.0, 0.5)
    assert compare(candidate, baseline, QUICK).verdict.outcome == "worse"
    assert compare(baseline, candidate, QUICK).verdict.outcome == "better"


def test_the_same_seed_gives_the_same_interval() -> None:
    first, second = two_systems(1, 2.0, 0.5)
    assert compare(first, second, QUICK) == compare(first, second, QUICK)


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("shared", "least_power"), [(0.0, 0.80), (0.5, 0.95)])
def test_the_rates_of_calls_are_as_promised(shared: float, least_power: float) -> None:
    """1,000 evaluations of 200 utterances each, with a difference of two points and without one."""
    full = EvaluationOptions()
    runs = 1_000
    called = sum(outcome_of(seed, 2.0, shared, full) == "worse" for seed in range(runs))
    false = sum(outcome_of(seed, 0.0, shared, full) != "no difference shown" for seed in range(runs))
    print(f"shared {shared}: power {called / runs:.3f}, false calls {false / runs:.3f}")
    assert called / runs >= least_power
    assert false / runs <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs)


def test_totals_are_sums_over_sums_and_no_means_of_rates() -> None:
    scores = [wer("a", 1, 2), wer("b", 1, 8)]
    [total] = totals_of(scores, QUICK)
    assert (total.value, total.cases, total.bottom) == (0.2, 2, 10)  # and not (1/2 + 1/8) / 2
    assert total.details == {"substitutions": 2, "deletions": 0, "insertions": 0}


def test_the_percentile_of_times_is_over_all_words() -> None:
    times = [
        TimeErrors(start_ms=(10.0, 30.0), end_ms=(0.0,), reference=3),
        TimeErrors(start_ms=(20.0,), end_ms=(), reference=1),
    ]
    start, end = totals_of([CaseScore(case=str(at), times=one) for at, one in enumerate(times)], QUICK)
    assert (start.measure, start.value, start.p95_ms, start.bottom) == ("word_start", 20.0, 29.0, 3)  # 20 + 0.9 x 10
    assert (end.measure, end.value, end.p95_ms) == ("word_end", 0.0, 0.0)


def test_the_interval_of_two_cases_holds_every_mix_of_them() -> None:
    found = interval([(0.0, 10.0), (5.0, 10.0)], alpha=0.05, resamples=1_000, seed=0)
    assert found is not None
    assert (found.low, found.high) == (0.0, 0.5)
    assert interval([(1.0, 10.0)], alpha=0.05, resamples=1_000, seed=0) is None


def test_equal_systems_have_no_difference_at_all() -> None:
    found = paired([((1.0, 10.0), (1.0, 10.0))] * 8, alpha=0.05, resamples=1_000, seed=0)
    assert found is not None
    assert (found.difference, found.low, found.high, found.least_detectable) == (0, 0, 0, 0)
    assert (found.share_lower, found.share_higher) == (0, 0)


def test_the_standard_error_is_that_of_the_mean_difference() -> None:
    """Cases of one length: the difference is a mean, whose standard error is known."""
    differences = [0.0, 1.0, 2.0, 3.0] * 25
    found = paired([((one, 10.0), (0.0, 10.0)) for one in differences], alpha=0.05, resamples=20_000, seed=0)
    assert found is not None
    deviation = math.sqrt(1.25) / 10  # of 0, 1, 2, 3 by 10
    assert found.difference == pytest.approx(0.15)
    assert found.standard_error == pytest.approx(deviation / 10, rel=0.03)
    # Student's t of 99 degrees of freedom by the root of 100/99, and the 80 % quantile of the normal distribution.
    assert found.least_detectable == pytest.approx((1.98422 * 1.00504 + 0.84162) * found.standard_error, rel=1e-4)


def test_the_least_difference_of_a_few_cases_is_that_of_their_widened_interval() -> None:
    differences = [0.0, 1.0, 2.0, 3.0] * 2
    found = paired([((one, 10.0), (0.0, 10.0)) for one in differences], alpha=0.05, resamples=20_000, seed=0)
    assert found is not None
    # Of 7 degrees of freedom 2.36462, by the root of 8/7.
    assert found.least_detectable == pytest.approx((2.36462 * 1.06904 + 0.84162) * found.standard_error, rel=1e-4)


def test_a_handful_of_cases_shows_nothing_however_they_differ() -> None:
    assert least_units(0.05) == 6
    for count, outcome in ((5, "no difference shown"), (6, "worse")):
        pair = [result([wer(str(at), errors, 10) for at in range(count)]) for errors in (9, 1)]
        found = compare(*pair, QUICK)
        assert found.verdict.outcome == outcome
        assert ("too few" in found.verdict.reason) == (count == 5)


def test_cases_of_a_group_are_drawn_together() -> None:
    """Twenty cases of two speakers are two things to draw from, and not twenty."""
    pair = [result([wer(str(at), errors, 10, group=f"speaker {at % 2}") for at in range(20)]) for errors in (9, 1)]
    found = compare(*pair, QUICK)
    assert (found.measures[0].cases, found.measures[0].units) == (20, 2)
    assert found.verdict.outcome == "no difference shown"


def test_a_case_that_fails_for_one_alone_counts_as_all_wrong() -> None:
    failure = CaseFailure(case="9", code="X", message="no")
    baseline = result([wer(str(at), 1, 10) for at in range(10)])
    candidate = result([wer(str(at), 1, 10) for at in range(9)], failures=(failure,))
    [found] = compare(candidate, baseline, QUICK).measures
    assert (found.cases, found.failed_candidate, found.failed_baseline) == (10, 1, 0)
    assert found.candidate == pytest.approx((9 + 10) / 100)
    assert found.baseline == pytest.approx(0.1)


def test_a_case_that_fails_for_both_is_left_out() -> None:
    failure = CaseFailure(case="9", code="X", message="no")
    pair = [result([wer(str(at), 1, 10) for at in range(9)], failures=(failure,)) for _ in range(2)]
    assert compare(*pair, QUICK).measures[0].cases == 9


def test_a_measure_that_has_no_value_decides_nothing() -> None:
    """Of recordings in which nothing is said there is no word error rate, be there however many."""
    field = FieldScore(field="title", score=1.0, by="f1", expected="", found="")
    silent = [wer(str(at), 1, 0).model_copy(update={"fields": (field,)}) for at in range(10)]
    found = compare(result(silent), result(silent), QUICK)
    assert (found.measures[0].measure, found.measures[0].has_figures) == ("wer", False)
    assert found.verdict.measure == "field_accuracy"
    named = compare(result(silent), result(silent), EvaluationOptions(resamples=1_000, decide_by="wer"))
    assert "no case that both have a figure for" in named.verdict.reason


def test_one_measure_decides_whatever_the_others_say() -> None:
    def scores(errors: int, right: float) -> list[CaseScore]:
        field = FieldScore(field="title", score=right, by="f1", expected="", found="")
        return [wer(str(at), errors, 10).model_copy(update={"fields": (field,)}) for at in range(10)]

    candidate, baseline = result(scores(5, 1.0)), result(scores(1, 0.0))
    assert compare(candidate, baseline, QUICK).verdict.outcome == "worse"
    decided = compare(candidate, baseline, EvaluationOptions(resamples=1_000, decide_by="field_accuracy"))
    assert (decided.verdict.measure, decided.verdict.outcome) == ("field_accuracy", "better")
    nothing = compare(candidate, baseline, EvaluationOptions(resamples=1_000, decide_by="der"))
    assert nothing.verdict.outcome == "no difference shown"
