"""Plans of a team: what can be carried out, and what is told of one that cannot."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from blocks.errors import BadInput, NotFound
from tasks.agents.team.plan import (
    Bounds,
    TeamPlan,
    before,
    check_plan,
    checked_plan,
    levels,
    problems_of,
    read_team_plan,
)
from tests.tasks.agents.team.making import RESTART, plan_of, task

BOUNDS = Bounds(agents=("worker", "reader"), tasks=3, depth=2)


def test_a_plan_within_its_bounds_has_no_problem() -> None:
    plan = plan_of(task("a", intent=RESTART, writes=["/srv/web"]), task("b", "a", agent="reader"))
    assert problems_of(plan, BOUNDS) == []
    check_plan(plan, BOUNDS)


@pytest.mark.parametrize(
    ("tasks", "named"),
    [
        ([], "has no tasks"),
        ([task(name) for name in "abcd"], "4 tasks, and at most 3"),
        ([task("a"), task("a")], "two tasks have the id a"),
        ([task("a", "weather")], "a depends on weather"),
        ([task("a", agent="stranger")], "a is for agent stranger, and the team has worker, reader"),
        ([task("a", "b"), task("b", "a")], "a → b → a"),
        ([task("a", "a")], "a → a"),
        ([task("a"), task("b", "a"), task("c", "b")], "3 tasks follow each other, and at most 2"),
        ([task("a", writes=["/etc"])], "writes /etc, and names no intent"),
    ],
)
def test_what_cannot_be_carried_out_is_named(tasks: list[dict[str, Any]], named: str) -> None:
    with pytest.raises(BadInput) as failure:
        check_plan(plan_of(*tasks), BOUNDS)
    assert named in failure.value.message
    assert failure.value.details["field"] == "plan"


def test_a_model_is_told_all_problems_of_its_plan() -> None:
    wanted = checked_plan(BOUNDS)
    with pytest.raises(ValidationError, match=r"a depends on x.*stranger"):
        wanted.model_validate({"tasks": [task("a", "x", agent="stranger")]})
    assert "How a goal is shared out" in wanted.model_json_schema()["description"]


def test_a_plan_is_read_from_yaml_and_its_faults_have_lines(tmp_path: Path) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text(
        "tasks:\n  - id: a\n    goal: Look.\n    agent: worker\n  - id: B\n    goal: Look.\n    agent: worker"
    )
    with pytest.raises(BadInput, match=r"plan\.yaml:5"):
        read_team_plan(file)
    file.write_text(file.read_text().replace("id: B", "id: b\n    depends_on: [a]"))
    assert [one.depends_on for one in read_team_plan(file).tasks] == [(), ("a",)]
    with pytest.raises(NotFound):
        read_team_plan(tmp_path / "none.yaml")


def test_half_a_character_in_a_plan_is_a_question_mark() -> None:
    plan = plan_of(task("a", goal="Look \ud83d.", writes=["\ud83d"], intent={"verb": "\ud83d", "object": "\ud83d"}))
    assert plan.tasks[0].goal == "Look ?."
    assert read_back(plan) == plan


def read_back(plan: TeamPlan) -> TeamPlan:
    return TeamPlan.model_validate_json(plan.model_dump_json())


@given(st.lists(st.sets(st.integers(0, 8)), min_size=1, max_size=9))
def test_levels_fall_by_one_at_least_along_every_dependency(needs: list[set[int]]) -> None:
    plan = plan_of(
        *(task(f"t{this}", *(f"t{other}" for other in found if other < this)) for this, found in enumerate(needs))
    )
    found = levels(plan.tasks)
    assert all(found[needed] > found[one.id] for one in plan.tasks for needed in one.depends_on)
    assert min(found.values()) == 1
    assert max(found.values()) <= len(plan.tasks)


def test_before_a_task_come_all_that_it_rests_on_in_the_end() -> None:
    plan = plan_of(task("a"), task("b", "a"), task("c", "b"), task("d"))
    assert before(plan.tasks[2], plan.tasks) == {"a", "b"}
    assert before(plan.tasks[3], plan.tasks) == frozenset()
