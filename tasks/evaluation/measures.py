"""The measures that scores add up to."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from blocks.model import Frozen
from tasks.evaluation.scores import CaseScore

Parts = tuple[float, float]
"""Numerator and denominator of a case; a measure is the sum of the ones over the sum of the others."""

MeasureName = Literal[
    "wer", "cer", "word_start", "word_end", "der", "schema_valid", "field_accuracy", "faithfulness", "judge"
]


@dataclass(frozen=True, kw_only=True)
class Measure:
    """One figure.

    Attributes:
        name: What `--decide-by` takes.
        title: For people.
        unit: `%`, whose differences are points, or `ms`.
        lower_is_better: Whether it counts errors.
        parts: Of a case's scores; None where it was not measured.
        counts_failures: Whether a case that failed for one of two counts as all wrong; else it is left out.
        about: What is divided by what.
    """

    name: MeasureName
    title: str
    unit: Literal["%", "ms"]
    lower_is_better: bool
    parts: Callable[[CaseScore], Parts | None]
    counts_failures: bool
    about: str

    def all_wrong(self, bottom: float) -> Parts:
        """The parts of a case that has no output, where another output has this denominator."""
        return (bottom if self.lower_is_better else 0.0, bottom)

    def shown(self, value: float | None) -> str:
        """A value as people read it."""
        if value is None:
            return "–"
        return f"{100 * value:.2f} %" if self.unit == "%" else f"{value:.1f} ms"

    def shown_interval(self, low: float, high: float) -> str:
        """An interval of differences."""
        unit = "points" if self.unit == "%" else "ms"
        return f"{self.shown_difference(low).removesuffix(unit)}to {self.shown_difference(high)}"

    def shown_difference(self, value: float) -> str:
        """A difference as people read it, with its sign."""
        return f"{100 * value:+.2f} points" if self.unit == "%" else f"{value:+.1f} ms"


def _words(score: CaseScore) -> Parts | None:
    return None if score.words is None else (score.words.count, score.words.reference)


def _characters(score: CaseScore) -> Parts | None:
    return None if score.characters is None else (score.characters.count, score.characters.reference)


def _starts(score: CaseScore) -> Parts | None:
    return None if score.times is None else (sum(score.times.start_ms), len(score.times.start_ms))


def _ends(score: CaseScore) -> Parts | None:
    return None if score.times is None else (sum(score.times.end_ms), len(score.times.end_ms))


def _speakers(score: CaseScore) -> Parts | None:
    return None if score.speakers is None else (score.speakers.wrong_s, score.speakers.total_s)


def _schema(score: CaseScore) -> Parts | None:
    return None if score.schema_check is None else (float(score.schema_check.valid), 1.0)


def _fields(score: CaseScore) -> Parts | None:
    return (sum(one.score for one in score.fields), len(score.fields)) if score.fields else None


def _claims(score: CaseScore) -> Parts | None:
    return None if score.claims is None else (sum(one.supported for one in score.claims), len(score.claims))


def _judged(score: CaseScore) -> Parts | None:
    return (sum(one.passed for one in score.judgements), len(score.judgements)) if score.judgements else None


MEASURES = (
    Measure(
        name="wer",
        title="Word error rate",
        unit="%",
        lower_is_better=True,
        parts=_words,
        counts_failures=True,
        about="substituted, left-out and put-in words / words of the reference, over all cases together",
    ),
    Measure(
        name="cer",
        title="Character error rate",
        unit="%",
        lower_is_better=True,
        parts=_characters,
        counts_failures=True,
        about="the same in characters of the normalised text, the single spaces between words included",
    ),
    Measure(
        name="word_start",
        title="Word start, mean absolute error",
        unit="ms",
        lower_is_better=True,
        parts=_starts,
        counts_failures=False,
        about="over the words that the output has right and both give times for",
    ),
    Measure(
        name="word_end",
        title="Word end, mean absolute error",
        unit="ms",
        lower_is_better=True,
        parts=_ends,
        counts_failures=False,
        about="over the words that the output has right and both give times for",
    ),
    Measure(
        name="der",
        title="Diarisation error rate",
        unit="%",
        lower_is_better=True,
        parts=_speakers,
        counts_failures=True,
        about="seconds missed, of false alarm and of the wrong speaker / seconds of speech of the reference",
    ),
    Measure(
        name="schema_valid",
        title="Summaries that fit their schema",
        unit="%",
        lower_is_better=False,
        parts=_schema,
        counts_failures=True,
        about="summaries without any fault against the schema of their template / summaries",
    ),
    Measure(
        name="field_accuracy",
        title="Field accuracy",
        unit="%",
        lower_is_better=False,
        parts=_fields,
        counts_failures=True,
        about="mean score of the expected fields: token F1 of texts, F1 as sets of lists, equality of all else",
    ),
    Measure(
        name="faithfulness",
        title="Faithfulness",
        unit="%",
        lower_is_better=False,
        parts=_claims,
        counts_failures=False,
        about="numbers, names and dates of the summaries that occur in the transcript / all of them",
    ),
    Measure(
        name="judge",
        title="Rubrics that hold",
        unit="%",
        lower_is_better=False,
        parts=_judged,
        counts_failures=True,
        about="statements that the model says are true of the output / statements",
    ),
)
"""In the order in which one decides where nobody says which; a new measure is a row here."""

BY_NAME = {one.name: one for one in MEASURES}


class Total(Frozen):
    """A measure over all cases of one system.

    Attributes:
        measure: Which.
        value: The sum of the numerators / the sum of the denominators; None where the latter is 0.
        low, high: Confidence interval of the value by the bootstrap; None with a single unit to draw.
        cases: Cases that were measured.
        lacking: Cases that are labelled for it, and whose output has nothing to measure.
        bottom: The denominator: words, characters, seconds, fields, claims.
        p95_ms: 95th percentile of the absolute errors, of times only.
        details: What the numerator is made of, by name.
    """

    measure: MeasureName
    value: float | None
    low: float | None = None
    high: float | None = None
    cases: int
    lacking: int = 0
    bottom: float
    p95_ms: float | None = None
    details: dict[str, float] = Field(default_factory=dict)


def details_of(measure: MeasureName, scores: Sequence[CaseScore]) -> dict[str, float]:
    """What the errors are made of."""
    if measure in ("wer", "cer"):
        errors = [one.words if measure == "wer" else one.characters for one in scores]
        names = ("substitutions", "deletions", "insertions")
        return {name: sum(getattr(one, name) for one in errors if one is not None) for name in names}
    if measure == "der":
        parts = [one.speakers for one in scores if one.speakers is not None]
        return {name: round(sum(getattr(one, name) for one in parts), 3)
                for name in ("missed_s", "false_alarm_s", "confusion_s")}  # fmt: skip
    if measure == "field_accuracy":
        texts = [field for one in scores for field in one.fields if field.exact is not None]
        counted = {"exact": [field.exact for field in texts], "normalised": [field.normalised for field in texts]}
        return {name: sum(map(bool, values)) / len(values) for name, values in counted.items() if values}
    if measure in ("word_start", "word_end"):
        times = [one.times for one in scores if one.times is not None]
        return {"reference_words": sum(one.reference for one in times)}
    return {}
