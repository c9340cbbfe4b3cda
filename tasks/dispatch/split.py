"""The coordinator splits a request into sub-tasks."""

from blocks.accounts.chat import ChatRequest
from blocks.errors import EngineFailed
from blocks.model import Frozen
from tasks.dispatch.asking import asking
from tasks.dispatch.means import means
from tasks.dispatch.plan import Plan, checked_plan
from tasks.dispatch.prompts import Brief, plan_prompt
from tasks.dispatch.request import Coordinator
from tasks.dispatch.speciality import Specialities
from tasks.dispatch.spent import Spent


class Planned(Frozen):
    """A plan that can be carried out, and what it took to find it."""

    plan: Plan
    spent: Spent


@asking("plan")
async def plan_step(
    dispatch_id: str,
    brief: Brief,
    most: int,
    specialities: Specialities,
    criteria: tuple[str, ...],
    by: Coordinator,
) -> Planned:
    """The coordinator's plan; one that cannot be carried out is sent back once with its problems.

    Args:
        dispatch_id: Which request.
        brief: What is asked.
        most: The most sub-tasks.
        specialities: Those there are.
        criteria: The caller's own; empty leaves them to the coordinator.
        by: Who plans.

    Raises:
        EngineFailed: the second plan cannot be carried out either; `details["problems"]` names why.
        C500Error: as `Means.complete`.
    """
    return await planned(by.asked(plan_prompt(brief, most, specialities, criteria)), most, specialities)


async def planned(request: ChatRequest, most: int, specialities: Specialities) -> Planned:
    """The plan that a prompt is answered with; see `plan_step`."""
    try:
        found = await means().ask(request, checked_plan(most, specialities))
    except EngineFailed as error:
        if "problems" not in error.details:
            raise
        problems = [problem.removeprefix("answer: Value error, ") for problem in error.details["problems"]]
        raise EngineFailed(
            f"the coordinator's plan cannot be carried out, nor could its second one: {'; '.join(problems)}",
            fix="name a stronger coordinator (--model), say the request in other words, or give a plan (--plan)",
            **{**error.details, "problems": problems},
        ) from error
    plan = Plan.model_validate(found.value.model_dump())
    return Planned(plan=plan, spent=Spent.of_all(found.answers))
