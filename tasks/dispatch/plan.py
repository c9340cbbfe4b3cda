"""The plan of a request: sub-tasks, and which of them needs the result of which."""

from collections.abc import Collection, Sequence
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, StringConstraints, TypeAdapter, model_validator

from blocks.accounts.account import Tier
from blocks.errors import BadInput
from blocks.language.validation import schema_problems
from blocks.model import Frozen
from blocks.yaml_file import read_yaml

TaskId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")]
Said = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]

GENERAL = "general"
"""The speciality of a sub-task that names none; every table has it."""


class SubTask(Frozen):
    """One part of a request, which one model does in one call.

    Attributes:
        id: Names it within the plan.
        title: A few words, for people.
        instruction: What to do; it must be understood without the rest of the plan.
        depends_on: Ids of the sub-tasks whose results it needs.
        speciality: A row of the table of specialities.
        priority: Of those that could begin, the higher begins first, 1 to 10.
        tier: How good a model it needs; None where its speciality says.
        output_schema: JSON Schema of an object that the result must satisfy; None for text.
        criteria: What its result is judged by.
    """

    id: TaskId
    title: Said
    instruction: Said
    depends_on: tuple[str, ...] = ()
    speciality: str = GENERAL
    priority: int = Field(default=5, ge=1, le=10)
    tier: Tier | None = None
    output_schema: dict[str, Any] | None = None
    criteria: tuple[Said, ...] = ()


class Plan(Frozen):
    """How a request is split.

    Attributes:
        tasks: The sub-tasks.
        criteria: What the whole answer is judged by.
        assumptions: What was taken for granted where the request leaves it open.
    """

    tasks: tuple[SubTask, ...]
    criteria: tuple[Said, ...] = ()
    assumptions: tuple[Said, ...] = ()

    def task(self, task_id: str) -> SubTask:
        """The sub-task of that id; `KeyError` when there is none."""
        return {task.id: task for task in self.tasks}[task_id]


FORM = TypeAdapter(Plan)


def read_plan(path: Path) -> Plan:
    """A plan from a YAML or JSON file; whether it can be carried out is not looked at.

    Raises:
        NotFound: there is no such file.
        BadInput: it is no YAML, or not of this form; each fault with its line.
    """
    return read_yaml(path, fix=f"correct {path}; docs/dispatch.md shows its form", field="plan").read_as(FORM)


def problems_of(plan: Plan, max_tasks: int, specialities: Collection[str]) -> list[str]:
    """Why a plan cannot be carried out, each problem named; empty when it can.

    Args:
        plan: The plan.
        max_tasks: The most sub-tasks it may have.
        specialities: Those there are.
    """
    if not plan.tasks:
        return ["the plan has no sub-tasks"]
    ids = [task.id for task in plan.tasks]
    problems: list[str] = []
    if len(ids) > max_tasks:
        problems.append(f"the plan has {len(ids)} sub-tasks, and at most {max_tasks} are allowed")
    if twice := sorted({one for one in ids if ids.count(one) > 1}):
        problems.append(f"two sub-tasks have the id {', '.join(twice)}")
    for task in plan.tasks:
        if unknown := [name for name in task.depends_on if name not in ids]:
            problems.append(f"{task.id} depends on {', '.join(unknown)}, which the plan does not have")
        if task.speciality not in specialities:
            problems.append(f"{task.id} has the unknown speciality {task.speciality}")
        if task.output_schema is not None:
            problems += [f"the output_schema of {task.id} {wrong}" for wrong in schema_problems(task.output_schema)]
    if circle := circle_in(plan.tasks):
        problems.append(f"sub-tasks wait for each other in a circle: {' → '.join(circle)}")
    return problems


def circle_in(tasks: Sequence[SubTask]) -> list[str]:
    """A circle of dependencies, its first id repeated at its end; empty when there is none."""
    try:
        TopologicalSorter({task.id: task.depends_on for task in tasks}).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def check_plan(plan: Plan, max_tasks: int, specialities: Collection[str]) -> None:
    """Refuse a plan of the caller's that cannot be carried out.

    Raises:
        BadInput: with all problems in `details["problems"]`.
    """
    if problems := problems_of(plan, max_tasks, specialities):
        raise BadInput(
            f"the plan cannot be carried out: {'; '.join(problems)}",
            fix="correct the plan",
            field="plan",
            problems=problems,
        )


def checked_plan(max_tasks: int, specialities: Collection[str]) -> type[Plan]:
    """The type of the plans that can be carried out: a model that answers with another one is told its problems."""

    class CheckedPlan(Plan):
        @model_validator(mode="after")
        def _can_be_carried_out(self) -> "CheckedPlan":
            if problems := problems_of(self, max_tasks, specialities):
                raise ValueError("; ".join(problems))
            return self

    CheckedPlan.__doc__ = Plan.__doc__  # the model reads it with the schema
    return CheckedPlan
