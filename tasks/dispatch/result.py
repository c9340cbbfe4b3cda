"""What came of a request: results of sub-tasks, statements with their sources, the evaluation, and what it cost."""

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from blocks.errors import C500Error
from blocks.job import Notice
from blocks.model import Frozen
from blocks.store.files import FileRef
from tasks.dispatch.plan import Plan
from tasks.dispatch.spent import Spent

Status = Literal["complete", "partial", "failed"]
MergedBy = Literal["model", "rule"]


class Trouble(Frozen):
    """Why something was not done.

    Attributes:
        code: Code of the error.
        message: What is wrong.
        fix: How to put it right.
    """

    code: str
    message: str
    fix: str

    @classmethod
    def of(cls, error: C500Error) -> "Trouble":
        """As the error says."""
        return cls(code=error.code, message=error.message, fix=error.fix)


class Question(Frozen):
    """What the coordinator wants to know before it plans.

    Attributes:
        question: The question.
        why: What depends on the answer.
        assumption: What is taken for granted when nobody answers.
    """

    question: str = Field(min_length=1)
    why: str = ""
    assumption: str = Field(min_length=1)


class Clarification(Frozen):
    """A question with the user's answer; None when nobody answered, so that the assumption stands."""

    question: Question
    answer: str | None = None


class SubTaskResult(Frozen):
    """What came of a sub-task.

    Attributes:
        id: Of the sub-task.
        title: Its title.
        status: `skipped`: a sub-task that it depends on has no result.
        output: The result; of one with a schema, its JSON. None when there is none.
        value: The result of one with a schema.
        trouble: Why there is none.
        model: Which model answered.
        account: At which account; None when the answer came from a cache.
        round: In which round it was made; 0 is the first.
        latency_s: Of its calls, waiting included, in seconds.
        spent: What it took.
        notices: What the user should know.
    """

    id: str
    title: str
    status: Literal["done", "failed", "skipped"]
    output: str | None = None
    value: dict[str, Any] | None = None
    trouble: Trouble | None = None
    model: str | None = None
    account: str | None = None
    round: int = 0
    latency_s: float = 0.0
    spent: Spent = Spent()
    notices: tuple[Notice, ...] = ()


class Statement(Frozen):
    """One statement of the answer: a sentence or a paragraph.

    Attributes:
        text: What it says, as Markdown.
        sources: Ids of the sub-tasks whose results say so.
        section: Heading it stands under; empty for none.
    """

    text: str = Field(min_length=1)
    sources: tuple[str, ...]
    section: str = ""


class Conflict(Frozen):
    """Where results contradict each other.

    Attributes:
        about: What about.
        sides: What each side says, with its sources.
    """

    about: str = Field(min_length=1)
    sides: tuple[Statement, ...]


class Merged(Frozen):
    """Results put together.

    Attributes:
        statements: In the order they are read in; together they are the answer.
        conflicts: Contradictions, both sides kept.
        by: `model`, or `rule` when the declared fallback put them together: then nothing was compared.
        spent: What it took.
        notices: Statements and results that were left out, and why.
    """

    statements: tuple[Statement, ...]
    conflicts: tuple[Conflict, ...] = ()
    by: MergedBy = "model"
    spent: Spent = Spent()
    notices: tuple[Notice, ...] = ()


class Score(Frozen):
    """How well the answer meets a criterion.

    Attributes:
        criterion: The criterion.
        score: 0, not at all, to 1, fully.
        reason: Why.
    """

    criterion: str
    score: float = Field(ge=0, le=1)
    reason: str


class Improvement(Frozen):
    """What is to be done again.

    Attributes:
        task_id: Which sub-task.
        what: What is to be better.
    """

    task_id: str
    what: str = Field(min_length=1)


class Evaluation(Frozen):
    """An answer held against its criteria.

    Attributes:
        scores: One for each criterion.
        improve: Sub-tasks to do again.
        spent: What it took.
        notices: What the user should know.
    """

    scores: tuple[Score, ...]
    improve: tuple[Improvement, ...] = ()
    spent: Spent = Spent()
    notices: tuple[Notice, ...] = ()

    @property
    def mean(self) -> float:
        """Mean of the scores."""
        return sum(one.score for one in self.scores) / len(self.scores)


class Round(Frozen):
    """One round: what was done anew, and how the answer was judged then.

    Attributes:
        number: 0 is the first, in which everything is done.
        tasks: Ids of the sub-tasks done.
        score: Mean score; None when it was not evaluated.
        kept: Whether its answer is the one returned.
    """

    number: int
    tasks: tuple[str, ...]
    score: float | None
    kept: bool


class DispatchResult(Frozen):
    """The answer to a request; stored as `dispatches/<dispatch_id>/result.json`.

    Attributes:
        dispatch_id: First 16 hex digits of sha256 over the request and its options.
        status: `complete`; `partial` when something is missing, see failed sub-tasks and notices, or when time, money
            or the accounts cut it off; `failed` when there is no result of any sub-task.
        request: What was asked.
        answer: The answer as Markdown, all its statements with their sources; None when nothing was merged.
        statements: Its statements.
        conflicts: Where results contradict each other.
        merged_by: `model`; `rule` for the declared fallback; None when nothing was merged.
        results: What came of each sub-task, in the order of the plan.
        evaluation: Of the answer; None when it was not evaluated.
        rounds: All rounds.
        plan: The plan; None when there is none.
        clarifications: What the user was asked and answered.
        assumptions: What was taken for granted.
        notices: What the user should know.
        trouble: What ended it, when it is not complete for one reason.
        spent: What all calls took, those of earlier attempts included whose results were found.
        timings_s: Wall time of each stage in seconds, in this attempt.
        files: Everything written, by file name.
        finished_at: When.
    """

    dispatch_id: str
    status: Status
    request: str
    answer: str | None = None
    statements: tuple[Statement, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    merged_by: MergedBy | None = None
    results: tuple[SubTaskResult, ...] = ()
    evaluation: Evaluation | None = None
    rounds: tuple[Round, ...] = ()
    plan: Plan | None = None
    clarifications: tuple[Clarification, ...] = ()
    assumptions: tuple[str, ...] = ()
    notices: tuple[Notice, ...] = ()
    trouble: Trouble | None = None
    spent: Spent = Spent()
    timings_s: dict[str, float] = Field(default_factory=dict)
    files: dict[str, FileRef] = Field(default_factory=dict)
    finished_at: datetime

    @property
    def failed(self) -> tuple[SubTaskResult, ...]:
        """Sub-tasks without a result."""
        return tuple(result for result in self.results if result.status != "done")

    @property
    def cost_usd(self) -> float | None:
        """Dollars; None when a price is unknown."""
        return self.spent.cost_usd

    @property
    def calls(self) -> int:
        """Answered calls."""
        return self.spent.calls

    @property
    def tokens(self) -> int:
        """Sent and answered."""
        return self.spent.prompt_tokens + self.spent.completion_tokens
