"""The plan of a team: who does what, and who waits for whose result."""

from collections.abc import Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Annotated

from pydantic import Field, StringConstraints, TypeAdapter, model_validator

from blocks.errors import BadInput
from blocks.model import Frozen
from blocks.yaml_file import read_yaml
from tasks.agents.definition import Name
from tasks.agents.team.intent import Intent
from tasks.agents.team.text import Storable

TaskId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")]
Text = Annotated[str, Storable, StringConstraints(strip_whitespace=True, min_length=1, max_length=20_000)]
Resource = Annotated[str, Storable, StringConstraints(strip_whitespace=True, min_length=1, max_length=400)]


class TeamTask(Frozen):
    """One part of the work, done by one agent in a run of its own.

    Attributes:
        id: Names it within the plan.
        goal: What it is to reach; it must be understood without the rest of the plan.
        agent: Which specialist does it.
        depends_on: Ids of the tasks whose results it needs.
        priority: Of those that could begin, the higher begins first, 1 to 10.
        writes: What it changes, as paths or names of services: tasks that change the same never run side by side.
        intent: What change it makes; None where it changes nothing. Work of the same intent is done once.
    """

    id: TaskId
    goal: Text
    agent: Name
    depends_on: tuple[str, ...] = ()
    priority: int = Field(default=5, ge=1, le=10)
    writes: tuple[Resource, ...] = ()
    intent: Intent | None = None


class TeamPlan(Frozen):
    """How a goal is shared out.

    Attributes:
        tasks: The tasks.
        assumptions: What was taken for granted where the goal leaves it open.
    """

    tasks: tuple[TeamTask, ...]
    assumptions: tuple[Text, ...] = ()


class Bounds(Frozen):
    """What a plan may ask for.

    Attributes:
        agents: The specialists there are.
        tasks: The most tasks.
        depth: The most tasks that may follow each other.
    """

    agents: tuple[str, ...]
    tasks: int
    depth: int


FORM = TypeAdapter(TeamPlan)


def read_team_plan(path: Path) -> TeamPlan:
    """A plan from a YAML or JSON file; whether it can be carried out is not looked at.

    Raises:
        NotFound: there is no such file.
        BadInput: it is no YAML, or not of this form; each fault with its line.
    """
    return read_yaml(path, fix=f"correct {path}; docs/agents/teams.md shows its form", field="plan").read_as(FORM)


def problems_of(plan: TeamPlan, bounds: Bounds) -> list[str]:
    """Why a plan cannot be carried out, each problem named; empty when it can."""
    if not plan.tasks:
        return ["the plan has no tasks"]
    ids = [task.id for task in plan.tasks]
    problems: list[str] = []
    if len(ids) > bounds.tasks:
        problems.append(f"the plan has {len(ids)} tasks, and at most {bounds.tasks} are allowed")
    if twice := sorted({one for one in ids if ids.count(one) > 1}):
        problems.append(f"two tasks have the id {', '.join(twice)}")
    for task in plan.tasks:
        problems += _problems_of_task(task, ids, bounds)
    if circle := circle_in(plan.tasks):
        problems.append(f"tasks wait for each other in a circle: {' → '.join(circle)}")
    elif (longest := max(levels(plan.tasks).values())) > bounds.depth:
        problems.append(f"{longest} tasks follow each other, and at most {bounds.depth} may")
    return problems


def _problems_of_task(task: TeamTask, ids: Sequence[str], bounds: Bounds) -> list[str]:
    problems: list[str] = []
    if unknown := [name for name in task.depends_on if name not in ids]:
        problems.append(f"{task.id} depends on {', '.join(unknown)}, which the plan does not have")
    if task.agent not in bounds.agents:
        problems.append(f"{task.id} is for agent {task.agent}, and the team has {', '.join(bounds.agents)}")
    if task.writes and task.intent is None:
        problems.append(f"{task.id} writes {', '.join(task.writes)}, and names no intent (verb and object)")
    return problems


def circle_in(tasks: Sequence[TeamTask]) -> list[str]:
    """A circle of dependencies, its first id repeated at its end; empty when there is none."""
    try:
        TopologicalSorter({task.id: task.depends_on for task in tasks}).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def levels(tasks: Sequence[TeamTask]) -> dict[str, int]:
    """How many tasks follow each other from each one on, itself included; 1 for one that nobody waits for."""
    after: dict[str, int] = {task.id: 1 for task in tasks}
    known: Mapping[str, TeamTask] = {task.id: task for task in tasks}
    for task_id in reversed(tuple(TopologicalSorter({task.id: task.depends_on for task in tasks}).static_order())):
        for needed in known[task_id].depends_on if task_id in known else ():
            after[needed] = max(after.get(needed, 1), after[task_id] + 1)
    return after


def before(task: TeamTask, tasks: Sequence[TeamTask]) -> frozenset[str]:
    """Ids of all tasks that must have ended before it begins."""
    known = {one.id: one for one in tasks}
    found: set[str] = set()
    waiting = list(task.depends_on)
    while waiting:
        if (name := waiting.pop()) not in found:
            found.add(name)
            waiting += known[name].depends_on
    return frozenset(found)


def check_plan(plan: TeamPlan, bounds: Bounds) -> None:
    """Refuse a plan of the caller's that cannot be carried out.

    Raises:
        BadInput: with all problems in `details["problems"]`.
    """
    if problems := problems_of(plan, bounds):
        told = f"the team's plan cannot be carried out: {'; '.join(problems)}"
        raise BadInput(told, fix="correct the plan", field="plan", problems=problems)


def checked_plan(bounds: Bounds) -> type[TeamPlan]:
    """The type of the plans that can be carried out: a model that answers with another one is told its problems."""

    class CheckedPlan(TeamPlan):
        @model_validator(mode="after")
        def _can_be_carried_out(self) -> "CheckedPlan":
            if problems := problems_of(self, bounds):
                raise ValueError("; ".join(problems))
            return self

    CheckedPlan.__doc__ = TeamPlan.__doc__  # the model reads it with the schema
    return CheckedPlan
