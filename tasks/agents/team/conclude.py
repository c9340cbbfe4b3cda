"""What a team's run came to, from what came of its tasks."""

from collections.abc import Sequence
from datetime import UTC, datetime

from blocks.redact import Redactor, default_redactor
from tasks.agents.result import AgentTrouble, AgentUsage
from tasks.agents.team.aggregate import Answered
from tasks.agents.team.handoff import HandOffs
from tasks.agents.team.plan import TeamPlan
from tasks.agents.team.result import TaskOutcome, TeamAnswer, TeamResult, TeamStatus, usage_sum
from tasks.agents.team.team_work import TeamWork, trouble_of


async def result_of(work: TeamWork, answered: Answered, planning: AgentUsage) -> TeamResult:
    """The result of a team's run.

    Args:
        work: The team, its tasks done.
        answered: The results put together.
        planning: What the plan took.
    """
    outcomes, redact = [work.outcomes[task.id] for task in work.plan.tasks], default_redactor()
    return TeamResult(
        run_id=work.begun.run_id,
        agent=work.coordinator,
        goal=redact.text(work.begun.goal),
        status=status_of(outcomes, answered.answer, stopped=work.stopped is not None),
        answer=TeamAnswer.model_validate(redact.value(answered.answer.model_dump(mode="json"))),
        outcomes=tuple(outcomes),
        plan=_without_secrets(work.plan, redact),
        messages=await work.messages.all(),
        notices=tuple(work.notices),
        trouble=trouble_of(work.stopped) if work.stopped else _trouble(outcomes),
        usage=usage_sum(planning, answered.usage, *(one.usage for one in outcomes)),
        ended_at=datetime.now(UTC),
    )


def _without_secrets(plan: TeamPlan, redact: Redactor) -> TeamPlan:
    """A plan for keeping: its goals may quote a secret that stood in the team's."""
    tasks = (task.model_copy(update={"goal": redact.text(task.goal)}) for task in plan.tasks)
    return plan.model_copy(
        update={"tasks": tuple(tasks), "assumptions": tuple(redact.text(one) for one in plan.assumptions)}
    )


def status_of(outcomes: Sequence[TaskOutcome], answer: TeamAnswer, *, stopped: bool = False) -> TeamStatus:
    """How a team ended."""
    states = {one.state for one in outcomes}
    if stopped or "stopped" in states:
        return "stopped"
    if states & {"limited", "handed_off"}:
        return "limited"
    if not any(one.is_good for one in outcomes):
        return "failed"
    return "done" if all(one.is_good for one in outcomes) and answer.by == "model" else "partial"


def is_final(result: TeamResult, handoffs: HandOffs) -> bool:
    """Whether another attempt would find nothing to do.

    A run goes on that was stopped, or whose hand-off a person has answered.
    """
    if result.status == "stopped":
        return False
    waiting = [one.handoff_id for one in result.outcomes if one.state == "handed_off" and one.handoff_id]
    return not any(handoffs.back(one) for one in waiting)


def _trouble(outcomes: Sequence[TaskOutcome]) -> AgentTrouble | None:
    """Of the task that kept the team from its goal: what stopped or waits before what failed, and no mere skip."""
    order = ("stopped", "handed_off", "limited", "failed")
    troubled = [one for one in outcomes if one.trouble is not None and one.state in order]
    first = min(troubled, key=lambda one: order.index(one.state), default=None)
    return first.trouble if first else None
