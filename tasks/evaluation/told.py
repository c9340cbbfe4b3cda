"""What a report says, in lines and rows that Markdown and HTML share."""

from collections import Counter
from collections.abc import Iterator, Sequence

from tasks.evaluation.evaluation import Compared, Evaluation, SystemResult
from tasks.evaluation.measures import BY_NAME, Total
from tasks.evaluation.scores import CaseScore

MOST_CASES = 200
"""Rows of a table of cases; evaluation.json has all."""

MOST_WRONG = 20
"""Cases shown word by word, and words most often wrong."""

COUNTED = {
    **{"wer": "words", "cer": "characters", "der": "s of speech", "field_accuracy": "fields"},
    **{"faithfulness": "numbers, names and dates", "judge": "statements"},
}
"""What the denominators count."""

ROLES = ("candidate", "baseline")


def headline(evaluation: Evaluation) -> str:
    """The verdict, or the first figure, in a sentence."""
    if evaluation.comparison is not None:
        verdict = evaluation.comparison.verdict
        names = f"{evaluation.candidate.label} against {evaluation.results[1].label}"
        return f"{verdict.outcome.capitalize()} ({names}). {verdict.reason}."
    if not evaluation.candidate.totals:
        return "Nothing could be measured."
    first = evaluation.candidate.totals[0]
    return f"{BY_NAME[first.measure].title}: {value_with_interval(first)}, {first.cases} cases."


def counts(evaluation: Evaluation) -> str:
    """How many cases there are, how many failed, and when it was."""
    failed = " and ".join(str(len(one.failures)) for one in evaluation.results)
    return f"{len(evaluation.cases)} cases, {failed} failed; finished {evaluation.finished_at:%Y-%m-%d %H:%M} UTC"


def value_with_interval(total: Total) -> str:
    """A figure, with its confidence interval where it has one."""
    measure = BY_NAME[total.measure]
    if total.value is None or total.low is None or total.high is None:
        return measure.shown(total.value)
    return f"{measure.shown(total.value)} ({measure.shown(total.low)} to {measure.shown(total.high)})"


def total_rows(result: SystemResult) -> list[list[str]]:
    """Measure, value with interval, cases, what it is made of."""
    return [
        [
            BY_NAME[one.measure].title,
            value_with_interval(one),
            f"{one.cases}" + (f" ({one.lacking} lacking)" if one.lacking else ""),
            _made_of(one),
        ]
        for one in result.totals
    ]


def _made_of(total: Total) -> str:
    if not total.cases:
        return ""
    parts = [f"{name.replace('_', ' ')} {_number(value)}" for name, value in total.details.items()]
    if total.p95_ms is not None:
        parts.insert(0, f"95th percentile {total.p95_ms:.1f} ms over {total.bottom:.0f} words")
    elif (unit := COUNTED.get(total.measure)) is not None:
        parts.insert(0, f"{_number(total.bottom)} {unit}")
    return ", ".join(parts)


def _number(value: float) -> str:
    return f"{value:.0f}" if value == round(value) else f"{value:.3f}"


def compared_rows(evaluation: Evaluation) -> list[list[str]]:
    """Measure, both values, difference with interval, how sure, what it would have seen."""
    if evaluation.comparison is None:
        return []
    decides = evaluation.comparison.verdict.measure
    return [_compared_row(one, decides=one.measure == decides) for one in evaluation.comparison.measures]


def _compared_row(one: Compared, *, decides: bool) -> list[str]:
    measure, found = BY_NAME[one.measure], one.paired
    difference = least = lower = "–"
    if found is not None:
        shown = measure.shown_difference
        difference = f"{shown(found.difference)} ({measure.shown_interval(found.low, found.high)})"
        least = shown(found.least_detectable)[1:]
        better = found.share_lower if measure.lower_is_better else found.share_higher
        lower = f"{100 * better:.1f} %"
    name = f"{measure.title}{' (decides)' if decides else ''}"
    pairs = f"{one.cases}" if one.units == one.cases else f"{one.cases} in {one.units} groups"
    return [
        name,
        measure.shown(one.candidate),
        measure.shown(one.baseline),
        difference,
        lower,
        least,
        pairs,
        one.outcome,
    ]


COMPARED_HEADS = (
    *(
        "measure",
        "candidate",
        "baseline",
        "candidate − baseline",
        "better in",
        "would be seen from",
        "cases",
        "outcome",
    ),
)
TOTAL_HEADS = ("measure", "value (interval)", "cases", "made of")


def notes(evaluation: Evaluation) -> Iterator[str]:
    """What a reader of the figures must know."""
    options = evaluation.options
    sure = f"{100 * (1 - options.alpha):g} %"
    yield f"Normalisation `{options.scoring.normalisation}`: {evaluation.normalisation}."
    yield (
        f"Intervals: {sure}, bootstrap of {options.resamples:,} resamples over cases (seed {options.seed}), "
        "paired where two are compared (Bisani and Ney 2004)."
    )
    measures = {one.measure for result in evaluation.results for one in result.totals}
    if "der" in measures:
        overlap = "left out" if options.scoring.skip_overlap else "counted"
        collar = f"collar {options.scoring.collar_s:g} s on each side of a boundary"
        yield f"Diarisation: {collar}; overlapping speech is {overlap}."
    if "faithfulness" in measures:
        yield "Faithfulness looks at numbers, names and dates only; a false statement without any of them is not seen."
    if "judge" in measures:
        cost = "at prices that are not known" if evaluation.judge_usd is None else f"for ${evaluation.judge_usd:.4f}"
        yield f"Rubrics are judged by a model, {cost}: an opinion, which may be wrong and depends on the model."
    for role, result in zip(ROLES, evaluation.results, strict=False):
        yield from (f"{role.capitalize()}: {note}." for note in result.notes)
        said = Counter(note for one in result.scores for note in one.notes)
        yield from (f"{role.capitalize()}: {note} ({count} cases)." for note, count in said.items())
    yield from _about_pairs(evaluation)


def _about_pairs(evaluation: Evaluation) -> Iterator[str]:
    if evaluation.comparison is None:
        return
    yield (
        f"One measure decides ({evaluation.comparison.verdict.measure}); the others are shown, and each of them calls "
        f"a difference by chance in {100 * evaluation.options.alpha:g} of 100 evaluations where there is none."
    )
    for one in evaluation.comparison.measures:
        if one.failed_candidate or one.failed_baseline:
            yield (
                f"{BY_NAME[one.measure].title}: {one.failed_candidate} cases that failed for the candidate alone and "
                f"{one.failed_baseline} for the baseline alone count as all wrong in the comparison."
            )
        if one.left_out:
            left = f"{one.left_out} cases are left out, since only one of the two has a figure"
            yield f"{BY_NAME[one.measure].title}: {left}."


def failure_rows(evaluation: Evaluation) -> list[list[str]]:
    """System, case, error, way out."""
    return [
        [role, one.case, f"{one.code}: {one.message}", one.fix]
        for role, result in zip(ROLES, evaluation.results, strict=False)
        for one in result.failures
    ]


def unsupported_rows(evaluation: Evaluation) -> list[list[str]]:
    """System, case, kind, item, field: what summaries say and transcripts do not."""
    return [
        [role, score.case, claim.kind, claim.text, claim.field]
        for role, result in zip(ROLES, evaluation.results, strict=False)
        for score in result.scores
        for claim in score.claims or ()
        if not claim.supported
    ]


def field_rows(evaluation: Evaluation) -> list[list[str]]:
    """System, case, field, score, how compared, expected, found: those that are not wholly right."""
    return [
        [role, score.case, one.field, f"{one.score:.2f}", one.by, one.expected, one.found]
        for role, result in zip(ROLES, evaluation.results, strict=False)
        for score in result.scores
        for one in score.fields
        if one.score < 1
    ]


def schema_rows(evaluation: Evaluation) -> list[list[str]]:
    """System, case, template, problems."""
    return [
        [role, score.case, score.schema_check.template, "; ".join(score.schema_check.problems)]
        for role, result in zip(ROLES, evaluation.results, strict=False)
        for score in result.scores
        if score.schema_check is not None and not score.schema_check.valid
    ]


def judged_rows(evaluation: Evaluation) -> list[list[str]]:
    """System, case, rubric, verdict, reason."""
    return [
        [role, score.case, one.rubric, "holds" if one.passed else "does not hold", one.reason]
        for role, result in zip(ROLES, evaluation.results, strict=False)
        for score in result.scores
        for one in score.judgements
    ]


def wrong_words(result: SystemResult) -> list[tuple[str, str, int]]:
    """What was most often said and heard otherwise: reference, hypothesis, how often."""
    found = Counter((one.reference, one.hypothesis) for score in result.scores for one in score.diff if not one.equal)
    return [(*pair, count) for pair, count in found.most_common(MOST_WRONG)]


def worst(result: SystemResult) -> list[CaseScore]:
    """Cases with errors in words, the most errors first."""
    wrong = [(one.words.count, one) for one in result.scores if one.words is not None and one.words.count]
    return [score for _, score in sorted(wrong, key=lambda pair: -pair[0])[:MOST_WRONG]]


def case_rows(evaluation: Evaluation) -> list[list[str]]:
    """A row for each case: what each measure says of it, candidate / baseline."""
    measures = case_measures(evaluation)
    by_case = [{one.case: one for one in result.scores} for result in evaluation.results]
    return [
        [name, *(_side_by_side([_of_case(measure, scores.get(name)) for scores in by_case]) for measure in measures)]
        for name in evaluation.cases[:MOST_CASES]
    ]


def _side_by_side(figures: list[str]) -> str:
    return figures[0] if set(figures) == {"–"} else " / ".join(figures)


def case_measures(evaluation: Evaluation) -> list[str]:
    """The measures that any case has, by name."""
    return list(dict.fromkeys(one.measure for result in evaluation.results for one in result.totals))


def _of_case(name: str, score: CaseScore | None) -> str:
    if score is None:
        return "failed"
    measure = BY_NAME[name]  # pyright: ignore[reportArgumentType]
    parts = measure.parts(score)
    if parts is None:
        return "lacking" if name in score.lacks else "–"
    if not parts[1]:
        return f"{parts[0]:g} in 0" if parts[0] else "–"
    return measure.shown(parts[0] / parts[1])


def jobs_line(scores: Sequence[CaseScore]) -> str:
    """Real-time factor and cost of the jobs, where they are known."""
    rtf = [one.rtf for one in scores if one.rtf is not None]
    costs = [one.cost_usd for one in scores if one.cost_usd is not None]
    told = [f"mean real-time factor {sum(rtf) / len(rtf):.2f}"] if rtf else []
    return ", ".join([*told, *([f"${sum(costs):.4f} for language models"] if sum(costs) else [])])
