"""Plans: what can be carried out, and what is refused by name."""

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from blocks.accounts.structured import read
from blocks.errors import BadInput, NotFound
from tasks.dispatch.plan import Plan, check_plan, checked_plan, circle_in, problems_of, read_plan
from tasks.dispatch.speciality import ours
from tests.fakes.llm.team import planned, task

KNOWN = ours()


def plan(*tasks: dict[str, object]) -> Plan:
    return Plan.model_validate(planned(*tasks))


def test_a_plan_that_can_be_carried_out_has_no_problems() -> None:
    assert problems_of(plan(task("a"), task("b", "a"), task("c", "a", "b")), 3, KNOWN) == []


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        (plan(), "the plan has no sub-tasks"),
        (plan(task("a"), task("b"), task("c"), task("d")), "4 sub-tasks, and at most 3"),
        (plan(task("a"), task("a")), "two sub-tasks have the id a"),
        (plan(task("a", "x", "y")), "a depends on x, y"),
        (plan(task("a", "a")), "in a circle: a → a"),
        (plan(task("a", "c"), task("b", "a"), task("c", "b")), "in a circle: "),
        (plan(task("a", speciality="magic")), "a has the unknown speciality magic"),
        (plan(task("a", output_schema={"type": "array"})), "output_schema of a is not of type object"),
        (plan(task("a", output_schema={"type": "object", "required": 3})), "output_schema of a is no JSON Schema"),
        (
            plan(task("a", output_schema={"type": "object", "$ref": "http://127.0.0.1:1/x"})),
            "output_schema of a leads out of itself, to http://127.0.0.1:1/x",
        ),
        (
            plan(task("a", output_schema={"type": "object", "properties": {"b": {"$ref": "#/$defs/c"}}})),
            "output_schema of a leads into nothing, to #/$defs/c",
        ),
    ],
)
def test_what_cannot_be_carried_out_is_refused_by_name(wrong: Plan, named: str) -> None:
    assert any(named in problem for problem in problems_of(wrong, 3, KNOWN))
    with pytest.raises(BadInput) as failure:
        check_plan(wrong, 3, KNOWN)
    assert named in failure.value.message
    assert failure.value.details["field"] == "plan"


def test_all_problems_are_told_at_once() -> None:
    wrong = plan(task("a", "x"), task("a"), task("b", speciality="magic"))
    assert len(problems_of(wrong, 2, KNOWN)) == 4


@given(st.sets(st.tuples(st.integers(0, 6), st.integers(0, 6))))
def test_a_circle_is_found_when_there_is_one_and_its_links_exist(links: set[tuple[int, int]]) -> None:
    tasks = [task(f"t{this}", *(f"t{other}" for one, other in sorted(links) if one == this)) for this in range(7)]
    found = circle_in(plan(*tasks).tasks)
    assert bool(found) == reaches_itself(links)
    for needed, needing in pairwise(found):
        assert (int(needing[1:]), int(needed[1:])) in links


def reaches_itself(links: set[tuple[int, int]]) -> bool:
    """Whether any number comes back to itself along the links: the oracle."""
    reached = set(links)
    for _ in range(7):
        reached |= {(one, last) for one, middle in reached for first, last in links if middle == first}
    return any(one == other for one, other in reached)


@pytest.mark.parametrize("field", ["id", "title", "instruction"])
def test_a_sub_task_needs_id_title_and_instruction(field: str) -> None:
    with pytest.raises(ValidationError, match=field):
        plan(task("a") | {field: ""})


def test_a_model_is_told_what_is_wrong_with_its_plan() -> None:
    value, problems = read(
        '{"tasks": [{"id": "a", "title": "A", "instruction": "Do.", "depends_on": ["b"]}]}', checked_plan(3, KNOWN)
    )
    assert value is None
    assert "a depends on b" in problems[0]


def test_the_schema_that_a_model_sees_names_every_field() -> None:
    schema = checked_plan(3, KNOWN).model_json_schema()
    assert set(schema["properties"]) == set(Plan.model_fields)
    assert "depends_on: Ids of the sub-tasks" in schema["$defs"]["SubTask"]["description"]


def test_a_plan_is_read_from_yaml(tmp_path: Path) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text("tasks:\n  - {id: a, title: A, instruction: Do it.}\n")
    assert read_plan(file) == plan({"id": "a", "title": "A", "instruction": "Do it."})


@pytest.mark.parametrize(
    ("text", "says"),
    [("tasks: [{id: a}]", r"tasks\.0\.title"), ("tasks: [", "plan.yaml:1: it is no YAML"), ("", "file")],
)
def test_a_plan_file_that_is_wrong_is_refused(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text(text)
    with pytest.raises(BadInput, match=says):
        read_plan(file)
    with pytest.raises(NotFound):
        read_plan(tmp_path / "nowhere.yaml")
