"""The scores of a case: all that was measured of its output."""

from blocks.model import Frozen
from tasks.evaluation.faithful import Claim
from tasks.evaluation.fields import FieldScore
from tasks.evaluation.speakers import SpeakerErrors
from tasks.evaluation.word_times import TimeErrors
from tasks.evaluation.words import Errors


class SchemaCheck(Frozen):
    """Whether a summary fits its template's schema, and where it does not."""

    template: str
    valid: bool
    problems: tuple[str, ...] = ()


class Judgement(Frozen):
    """What a model says of a statement about the output.

    Attributes:
        rubric: The statement.
        passed: Whether it is true.
        reason: Why, in the model's words.
        model: Which one.
        cost_usd: What it cost; None when the price is not known.
    """

    rubric: str
    passed: bool
    reason: str
    model: str
    cost_usd: float | None = None


class Difference(Frozen):
    """Words that differ, or are the same, side by side."""

    reference: str
    hypothesis: str
    equal: bool


class CaseScore(Frozen):
    """All that was measured of one case; None or empty where nothing was labelled.

    Attributes:
        case: The case's id.
        group: What it is drawn with.
        diff: The words of reference and output, aligned.
        lacks: Measures that the case is labelled for and the output has nothing for, as `word_start`.
        notes: What went wrong beside, as a judge that did not answer.
        job_id: The job that made the output; None for one that was given.
        rtf: Its real-time factor.
        cost_usd: What it cost.
    """

    case: str
    group: str | None = None
    words: Errors | None = None
    characters: Errors | None = None
    times: TimeErrors | None = None
    speakers: SpeakerErrors | None = None
    schema_check: SchemaCheck | None = None
    fields: tuple[FieldScore, ...] = ()
    claims: tuple[Claim, ...] | None = None
    judgements: tuple[Judgement, ...] = ()
    diff: tuple[Difference, ...] = ()
    lacks: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    job_id: str | None = None
    rtf: float | None = None
    cost_usd: float | None = None

    @property
    def unit(self) -> str:
        """What the bootstrap draws: the case, or the group that it is of."""
        return f"case {self.case}" if self.group is None else f"group {self.group}"


class CaseFailure(Frozen):
    """A case that has no scores, and why."""

    case: str
    group: str | None = None
    code: str
    message: str
    fix: str = ""
