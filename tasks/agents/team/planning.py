"""The coordinator shares a goal out among its specialists."""

from collections.abc import Iterable

from blocks.accounts.chat import Answer, Caller, ChatRequest
from blocks.accounts.structured import Completes, ask
from blocks.errors import EngineFailed
from blocks.model import Frozen
from tasks.agents.purse import purse_of
from tasks.agents.result import AgentUsage
from tasks.agents.team.plan import TeamPlan, checked_plan
from tasks.agents.team.prompts import plan_prompt
from tasks.agents.team.shares import COORDINATOR_SHARE
from tasks.agents.team.team_store import TeamBegun


class Planned(Frozen):
    """A plan that can be carried out, and what it took to make it."""

    plan: TeamPlan
    usage: AgentUsage = AgentUsage()


async def planned(pool: Completes, begun: TeamBegun, deadline_s: float | None) -> Planned:
    """The coordinator's plan; one that cannot be carried out is sent back once with its problems.

    Args:
        pool: Who answers.
        begun: The team's run.
        deadline_s: Seconds left; None for no deadline.

    Raises:
        EngineFailed: the second plan cannot be carried out either; `details["problems"]` names why.
        C500Error: as `Pool.complete`.
    """
    options, coordinator = begun.options, begun.coordinator
    asked = plan_prompt(coordinator.role, begun.goal, begun.specialists, options.max_tasks, options.max_depth)
    try:
        found = await ask(pool, by_coordinator(begun, asked), checked_plan(begun.bounds), caller_of(begun, deadline_s))
    except EngineFailed as error:
        if "problems" not in error.details:
            raise
        problems = [problem.removeprefix("answer: Value error, ") for problem in error.details["problems"]]
        raise EngineFailed(
            f"the coordinator's plan cannot be carried out, nor could its second one: {'; '.join(problems)}",
            fix=f"give {coordinator.name} a stronger model or tier, say the goal otherwise, or give a plan (--plan)",
            **{**error.details, "problems": problems},
        ) from error
    plan = TeamPlan.model_validate(found.value.model_dump())
    return Planned(plan=plan, usage=usage_of(found.answers))


def by_coordinator(begun: TeamBegun, asked: ChatRequest) -> ChatRequest:
    """A request for the coordinator's model."""
    chosen = begun.coordinator
    return asked.model_copy(
        update={"model": chosen.model, "tier": chosen.tier, "max_output_tokens": chosen.limits.output_tokens}
    )


def caller_of(begun: TeamBegun, deadline_s: float | None) -> Caller:
    """For whom the coordinator's model is called: its own calls never pass the coordinator's share of the budget."""
    budget = None if begun.budget_usd is None else begun.budget_usd * COORDINATOR_SHARE
    purse = purse_of(begun.run_id, begun.coordinator.limits.model_copy(update={"budget_usd": budget}))
    left_s = None if deadline_s is None else max(0.001, deadline_s)
    return Caller(user=begun.user, job=begun.run_id, session=begun.run_id, deadline_s=left_s, purse=purse)


def usage_of(answers: Iterable[Answer]) -> AgentUsage:
    """What answers took; those without a known price count as nothing, as in `AgentUsage`."""
    given = list(answers)
    return AgentUsage(
        steps=len(given),
        prompt_tokens=sum(one.reply.usage.prompt_tokens for one in given),
        completion_tokens=sum(one.reply.usage.completion_tokens for one in given),
        cost_usd=round(sum(one.cost_usd or 0.0 for one in given), 9),
        duration_s=round(sum(one.latency_s for one in given), 3),
    )
