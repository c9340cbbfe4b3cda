"""What the cases add up to, and how two systems compare."""

from collections.abc import Mapping, Sequence

from tasks.evaluation.bootstrap import Paired, interval, least_units, paired
from tasks.evaluation.evaluation import Compared, Comparison, EvaluationOptions, Outcome, SystemResult, Verdict
from tasks.evaluation.measures import BY_NAME, MEASURES, Measure, MeasureName, Parts, Total, details_of
from tasks.evaluation.scores import CaseScore


def totals_of(scores: Sequence[CaseScore], options: EvaluationOptions) -> tuple[Total, ...]:
    """Every measure that cases were labelled for."""
    made = (_total(measure, scores, options) for measure in MEASURES)
    return tuple(one for one in made if one.cases or one.lacking)


def compare(candidate: SystemResult, baseline: SystemResult, options: EvaluationOptions) -> Comparison:
    """Hold two systems against each other, over the cases that both have."""
    compared = tuple(one for measure in MEASURES if (one := _compared(measure, candidate, baseline, options)).cases)
    return Comparison(measures=compared, verdict=_verdict(compared, options))


def _total(measure: Measure, scores: Sequence[CaseScore], options: EvaluationOptions) -> Total:
    parts = [(one.unit, found) for one in scores if (found := measure.parts(one)) is not None]
    top, bottom = sum(found[0] for _, found in parts), sum(found[1] for _, found in parts)
    units = list(_by_unit(parts).values())
    found = interval(units, alpha=options.alpha, resamples=options.resamples, seed=options.seed) if bottom else None
    return Total(
        measure=measure.name,
        value=top / bottom if bottom else None,
        low=found and found.low,
        high=found and found.high,
        cases=len(parts),
        lacking=sum(measure.name in one.lacks for one in scores),
        bottom=bottom,
        p95_ms=_p95(measure.name, scores),
        details=details_of(measure.name, scores) if parts else {},
    )


def _p95(measure: MeasureName, scores: Sequence[CaseScore]) -> float | None:
    """95th percentile of the absolute errors of all words, between the two nearest where none is there exactly."""
    if measure not in ("word_start", "word_end"):
        return None
    import numpy as np

    times = [one.times for one in scores if one.times is not None]
    every = [ms for one in times for ms in (one.start_ms if measure == "word_start" else one.end_ms)]
    return round(float(np.percentile(every, 95)), 3) if every else None


def _by_unit(parts: Sequence[tuple[str, Parts]]) -> dict[str, Parts]:
    """Numerators and denominators added up by what is drawn."""
    units: dict[str, Parts] = {}
    for unit, (top, bottom) in parts:
        before = units.get(unit, (0.0, 0.0))
        units[unit] = (before[0] + top, before[1] + bottom)
    return units


def _compared(
    measure: Measure, candidate: SystemResult, baseline: SystemResult, options: EvaluationOptions
) -> Compared:
    ours, theirs = _parts(measure, candidate.scores), _parts(measure, baseline.scores)
    failed = [_failed(measure, one, other) for one, other in ((candidate, theirs), (baseline, ours))]
    ours, theirs = {**ours, **failed[0]}, {**theirs, **failed[1]}
    both = [case for case in ours if case in theirs]
    units = {case: unit for one in (candidate, baseline) for case, unit in _units(one).items()}
    sums = [_by_unit([(units[case], side[case]) for case in both]) for side in (ours, theirs)]
    pairs = [(sums[0][unit], sums[1][unit]) for unit in sums[0]]
    found = paired(pairs, alpha=options.alpha, resamples=options.resamples, seed=options.seed) if pairs else None
    return Compared(
        measure=measure.name,
        candidate=_ratio(sums[0]),
        baseline=_ratio(sums[1]),
        cases=len(both),
        units=len(pairs),
        failed_candidate=len(failed[0]),
        failed_baseline=len(failed[1]),
        left_out=len(ours.keys() ^ theirs.keys()),
        paired=found,
        outcome=_outcome(measure, found, len(pairs), options.alpha),
    )


def _parts(measure: Measure, scores: Sequence[CaseScore]) -> dict[str, Parts]:
    return {one.case: found for one in scores if (found := measure.parts(one)) is not None}


def _units(result: SystemResult) -> dict[str, str]:
    scores = {one.case: one.unit for one in result.scores}
    return {one.case: CaseScore(case=one.case, group=one.group).unit for one in result.failures} | scores


def _failed(measure: Measure, result: SystemResult, other: Mapping[str, Parts]) -> dict[str, Parts]:
    """Cases that failed here, and that the other has: as if all of them were wrong."""
    if not measure.counts_failures:
        return {}
    return {one.case: measure.all_wrong(other[one.case][1]) for one in result.failures if one.case in other}


def _ratio(units: Mapping[str, Parts]) -> float | None:
    bottom = sum(one[1] for one in units.values())
    return sum(one[0] for one in units.values()) / bottom if bottom else None


def _outcome(measure: Measure, found: Paired | None, units: int, alpha: float) -> Outcome:
    if found is None or units < least_units(alpha) or found.low <= 0 <= found.high:
        return "no difference shown"
    return "better" if (found.high < 0) == measure.lower_is_better else "worse"


def _verdict(compared: Sequence[Compared], options: EvaluationOptions) -> Verdict:
    """By one measure alone, so that many measures do not make many chances of a false call."""
    one = next((one for one in compared if one.has_figures and options.decide_by in (None, one.measure)), None)
    if one is None:
        reason = "there is no case that both have a figure for"
        return Verdict(outcome="no difference shown", measure=options.decide_by, alpha=options.alpha, reason=reason)
    return Verdict(outcome=one.outcome, measure=one.measure, alpha=options.alpha, reason=_reason(one, options.alpha))


def _reason(one: Compared, alpha: float) -> str:
    measure, found, least = BY_NAME[one.measure], one.paired, least_units(alpha)
    values = f"{measure.title}: {measure.shown(one.candidate)} against {measure.shown(one.baseline)}"
    if found is None or one.units < least:
        return f"{values}; {one.units} to draw from are too few to tell ({least} are the least)"
    difference, sure = measure.shown_difference(found.difference), measure.shown_interval(found.low, found.high)
    told = f"{values}, a difference of {difference} ({100 * (1 - alpha):g} % interval {sure})"
    if one.outcome != "no difference shown":
        return told
    return (
        f"{told}; a true difference of {measure.shown_difference(found.least_detectable)[1:]} would be seen in 8 of 10"
    )
