"""An evaluation: what was asked, and what came of it."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from blocks.model import Frozen
from tasks.evaluation.bootstrap import RESAMPLES, Paired
from tasks.evaluation.judge import JudgeOptions
from tasks.evaluation.measures import MeasureName, Total
from tasks.evaluation.score import Scoring
from tasks.evaluation.scores import CaseFailure, CaseScore
from tasks.evaluation.system import System

Outcome = Literal["better", "worse", "no difference shown"]


class EvaluationOptions(Frozen):
    """How it is evaluated.

    Attributes:
        only: Ids of the cases that are meant; empty: all.
        scoring: How outputs are held against references.
        judge: The model that judges; None: none does.
        decide_by: The measure that decides; None: the first of the list that both systems have.
        alpha: Chance of calling a difference where there is none.
        resamples, seed: Of the bootstrap.
        at_once: Cases in hand at once.
    """

    only: tuple[str, ...] = ()
    scoring: Scoring = Field(default_factory=Scoring)
    judge: JudgeOptions | None = None
    decide_by: MeasureName | None = None
    alpha: float = Field(default=0.05, gt=0, lt=0.5)
    resamples: int = Field(default=RESAMPLES, ge=1_000, le=1_000_000)
    seed: int = Field(default=0, ge=0)
    at_once: int = Field(default=4, ge=1, le=256)


class SystemResult(Frozen):
    """What came of one system.

    Attributes:
        system: Which.
        label: Its name in the report.
        scores: Of the cases that gave an output, in order.
        failures: Of those that did not.
        totals: The measures that there are.
        engines: What did the work, as name, version and model.
        notes: What else should be known.
    """

    system: System
    label: str
    scores: tuple[CaseScore, ...]
    failures: tuple[CaseFailure, ...]
    totals: tuple[Total, ...]
    engines: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class Compared(Frozen):
    """A measure of both systems over the cases that both have.

    Attributes:
        measure: Which.
        candidate, baseline: Their values over these cases.
        cases: How many.
        units: What was drawn by the bootstrap: cases, or their groups.
        failed_candidate, failed_baseline: Of these the ones that failed there alone, and count as all wrong.
        left_out: Cases that only one of the two has a figure for.
        paired: Difference and interval, the candidate's value minus the baseline's; None where nothing can be said.
        outcome: Of the candidate against the baseline, by this measure alone.
    """

    measure: MeasureName
    candidate: float | None
    baseline: float | None
    cases: int
    units: int
    failed_candidate: int = 0
    failed_baseline: int = 0
    left_out: int = 0
    paired: Paired | None = None
    outcome: Outcome = "no difference shown"

    @property
    def has_figures(self) -> bool:
        """Whether both have a value; of recordings in which nothing is said there is no rate."""
        return self.candidate is not None and self.baseline is not None


class Verdict(Frozen):
    """Whether the candidate is better than the baseline.

    Attributes:
        outcome: In a word.
        measure: The one that decides; None where there is none that both have.
        alpha: Chance of calling a difference where there is none.
        reason: In a sentence.
    """

    outcome: Outcome
    measure: MeasureName | None
    alpha: float
    reason: str


class Comparison(Frozen):
    """Two systems on the same cases."""

    measures: tuple[Compared, ...]
    verdict: Verdict


class Evaluation(Frozen):
    """All of it; stored as `evaluations/<evaluation_id>/evaluation.json`.

    Attributes:
        evaluation_id: First 16 hex digits of sha256 over dataset, systems, versions and options.
        dataset: Name of the dataset.
        cases: Ids of its cases, in order.
        options: How it was evaluated.
        normalisation: What the normalisation does.
        candidate: The system that is evaluated.
        baseline: What it is held against; None: nothing.
        comparison: The two, side by side.
        judge_usd: What the judge cost in all, also when a case was found done; None when a price is not known.
        seconds: Wall time of this run.
        reused: Cases that were found done, of both systems.
        finished_at: When.
        files: Where the report lies in the store, by name.
    """

    evaluation_id: str
    dataset: str
    cases: tuple[str, ...]
    options: EvaluationOptions
    normalisation: str
    candidate: SystemResult
    baseline: SystemResult | None = None
    comparison: Comparison | None = None
    judge_usd: float | None = 0.0
    seconds: float
    reused: int
    finished_at: datetime
    files: dict[str, str] = Field(default_factory=dict)

    @property
    def results(self) -> tuple[SystemResult, ...]:
        """Of one system, or of both."""
        return (self.candidate,) if self.baseline is None else (self.candidate, self.baseline)

    @property
    def failed(self) -> int:
        """Cases without scores, of all systems."""
        return sum(len(one.failures) for one in self.results)

    @property
    def is_worse(self) -> bool:
        """Whether the candidate was shown to be worse."""
        return self.comparison is not None and self.comparison.verdict.outcome == "worse"

    @property
    def is_decided(self) -> bool:
        """Whether both have a figure of the measure that decides."""
        compared = self.comparison
        if compared is None:
            return False
        return any(one.has_figures and one.measure == compared.verdict.measure for one in compared.measures)
