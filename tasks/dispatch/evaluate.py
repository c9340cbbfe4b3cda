"""An answer held against its criteria, and whether another round made it better."""

from collections.abc import Sequence

from pydantic import Field, model_validator

from blocks.model import Frozen
from tasks.dispatch.asking import asking
from tasks.dispatch.means import means
from tasks.dispatch.plan import Plan, SubTask
from tasks.dispatch.prompts import Brief, evaluate_prompt
from tasks.dispatch.request import Coordinator, DispatchOptions
from tasks.dispatch.result import Evaluation, Improvement, Merged, Score, Statement
from tasks.dispatch.spent import Spent

WHOLE = "The answer covers everything that the request asks for."
"""What is asked of an answer when neither the caller nor the plan names a criterion."""

LEAST_GAIN = 0.005
"""A round is better when it scores by more than this: half a hundredth, less than models tell apart."""


class ScoreAnswer(Frozen):
    """A criterion's number, and how well it is met."""

    criterion: int
    score: float = Field(ge=0, le=1)
    reason: str


class EvaluationAnswer(Frozen):
    """What the model answers."""

    scores: tuple[ScoreAnswer, ...]
    improve: tuple[Improvement, ...] = ()


def criteria_of(options: DispatchOptions, plan: Plan) -> tuple[str, ...]:
    """What an answer is judged by: the caller's criteria, else the plan's."""
    return options.criteria or plan.criteria or (WHOLE,)


@asking("evaluate")
async def evaluate_step(
    dispatch_id: str,
    brief: Brief,
    criteria: tuple[str, ...],
    merged: Merged,
    tasks: tuple[tuple[SubTask, str], ...],
    by: Coordinator,
) -> Evaluation:
    """The coordinator judges an answer.

    Args:
        dispatch_id: Of which request.
        brief: The request.
        criteria: What it is judged by.
        merged: The answer.
        tasks: The sub-tasks, each with what came of it in a word.
        by: Who judges.

    Raises:
        EngineFailed: its answer cannot be read.
        C500Error: as `Means.complete`.
    """
    statements = (*merged.statements, *_contradictions(merged))
    request = by.asked(evaluate_prompt(brief, criteria, statements, tasks))
    found = await means().ask(request, checked_evaluation(len(criteria), [task.id for task, _ in tasks]))
    by_number = {one.criterion: one for one in found.value.scores}
    scores = [
        Score(criterion=text, score=by_number[number].score, reason=by_number[number].reason)
        for number, text in enumerate(criteria, start=1)
    ]
    return Evaluation(scores=tuple(scores), improve=found.value.improve, spent=Spent.of_all(found.answers))


def checked_evaluation(criteria: int, task_ids: Sequence[str]) -> type[EvaluationAnswer]:
    """The type of evaluations that score each of so many criteria once and name sub-tasks that there are."""

    class CheckedEvaluation(EvaluationAnswer):
        @model_validator(mode="after")
        def _is_whole(self) -> "CheckedEvaluation":
            numbers = sorted(one.criterion for one in self.scores)
            if numbers != list(range(1, criteria + 1)):
                raise ValueError(f"score each criterion from 1 to {criteria} once, not {numbers}")
            if unknown := [one.task_id for one in self.improve if one.task_id not in task_ids]:
                raise ValueError(f"improve names {', '.join(unknown)}; there are {', '.join(task_ids)}")
            return self

    CheckedEvaluation.__doc__ = EvaluationAnswer.__doc__
    return CheckedEvaluation


def is_better(new: Evaluation, old: Evaluation) -> bool:
    """Whether a round made progress."""
    return new.mean > old.mean + LEAST_GAIN


def _contradictions(merged: Merged) -> list[Statement]:
    return [
        Statement(text=f"Contradiction about {conflict.about}: {side.text}", sources=side.sources)
        for conflict in merged.conflicts
        for side in conflict.sides
    ]
