"""The manifest of a migration only moves along its table, and never into what cannot be."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.errors import Conflict
from tasks.ops.migration.plan import MigrationPlan
from tasks.ops.migration.report import migration_markdown, states_picture
from tasks.ops.migration.states import (
    AT_WORK,
    MOVES,
    UNTOUCHED,
    MigrationState,
    PhaseState,
    WrongMove,
    first_state,
    moved,
    next_step,
    no_way_back,
    replanned,
)
from tests.tasks.ops.migration.plans import phase, plan

NAMES = ("a", "b", "c", "d")

with TemporaryDirectory() as _folder:
    PLAN: MigrationPlan = plan(
        Path(_folder), phase("a"), phase("b", depends_on=[]), phase("c", depends_on=["a", "b"]), phase("d")
    )


def check(state: MigrationState) -> None:
    """What must hold in every state."""
    states = {one.name: one.state for one in state.phases}
    assert sum(one in AT_WORK for one in states.values()) <= 1
    for name, now in states.items():
        if now not in UNTOUCHED:
            assert all(states[need] == "done" for need in state.plan.needs(name))
    MigrationState.model_validate(state.model_dump())


@given(st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from([*MOVES]))))
def test_whatever_is_tried_it_only_moves_along_its_table(tried: list[tuple[str, PhaseState]]) -> None:
    state = first_state("move", "0", PLAN)
    for name, to in tried:
        before = state
        try:
            state = moved(state, name, to, "", token=1)
        except WrongMove:
            continue
        assert to in MOVES[before.record(name).state]
        assert [one for one in NAMES if one != name and state.record(one) != before.record(one)] == []
        assert len(state.history) == len(before.history) + 1
        check(state)


@given(st.data())
def test_steps_lead_to_an_end_whatever_fails(data: st.DataObject) -> None:
    """Each step moves its phase as the orchestrator does; what comes of it, and when a person turns back, is chance."""
    state, steps = first_state("move", "0", PLAN), 0
    while (step := next_step(state)) is not None:
        steps += 1
        if not state.back and data.draw(st.integers(0, 9)) == 0:
            state = state.model_copy(update={"back": True})
            continue
        failed = data.draw(st.integers(0, 3)) == 0
        targets: dict[str, PhaseState] = {
            "begin": "running",
            "retry": "running",
            "act": "failed" if failed else "verifying",
            "verify": "failed" if failed else "done",
            "give_up": "failed",
            "turn_back": "rolling_back",
            "undo": "rolled_back",
        }
        state = moved(state, step.phase, targets[step.kind], "", token=1)
        check(state)
        if state.record(step.phase).state == "failed" and not state.back:
            state = state.model_copy(update={"back": data.draw(st.booleans())})
        if steps > 200:
            return  # it may fail and be tried again for ever
    assert state.status in ("done", "rolled_back")
    if state.back:
        assert {one.state for one in state.phases} <= UNTOUCHED
        undone = [one.phase for one in state.history if one.state == "rolled_back"]
        assert undone == sorted(undone, reverse=True)


@given(st.sampled_from(NAMES), st.sampled_from([one for one in MOVES if one != "blocked"]))
def test_a_manifest_that_cannot_be_is_not_read(name: str, state: PhaseState) -> None:
    content = first_state("move", "0", PLAN).model_dump()
    for one in content["phases"]:
        one["state"] = state if one["name"] in (name, "a") else "blocked"
    needs = PLAN.needs(name)
    possible = not (name != "a" and state in AT_WORK) and (
        state in UNTOUCHED or set(needs) <= ({"a"} if state == "done" else set())
    )
    if possible:
        MigrationState.model_validate(content)
    else:
        with pytest.raises(ValueError, match=r"needs|at once"):
            MigrationState.model_validate(content)


def test_the_table_is_the_picture() -> None:
    drawn = states_picture(first_state("move", "0", PLAN))
    assert all(f"    {before} --> {after}" in drawn for before, all_after in MOVES.items() for after in all_after)
    assert "note right of blocked\n        a, b, c, d" in drawn


def test_text_of_others_is_inert_in_the_report() -> None:
    said = "<img src=x> ![p](http://x) | `x`\n# head"
    state = moved(first_state("move", "0", PLAN), "a", "running", said, token=1)
    shown = migration_markdown(state)
    assert "<img" not in shown and "![p](" not in shown and "\n# head" not in shown


def test_a_phase_that_has_begun_keeps_its_plan(tmp_path: Path) -> None:
    first = plan(tmp_path, phase("a"), phase("b"))
    state = moved(first_state("move", "0", first), "a", "running", "", token=1)
    other_b = plan(tmp_path, phase("a"), phase("b", says="other"), phase("c"))
    assert [one.name for one in replanned(state, other_b).phases] == ["a", "b", "c"]
    for changed in (
        plan(tmp_path, phase("a", says="other"), phase("b")),
        plan(tmp_path, phase("b")),
        plan(tmp_path, phase("b"), phase("a")),
    ):
        with pytest.raises(Conflict, match="has begun"):
            replanned(state, changed)
    failed = moved(state, "a", "failed", "", token=1)
    assert replanned(failed, plan(tmp_path, phase("a", says="mended"), phase("b"))).plan.phase("a").says == "mended"


def test_a_point_of_no_return_is_known_once_it_has_begun(tmp_path: Path) -> None:
    one_way = plan(tmp_path, phase("a", compensation="impossible"))
    state = first_state("move", "0", one_way)
    assert no_way_back(state) == ""
    assert no_way_back(moved(state, "a", "running", "", token=1)) == "a"
    assert no_way_back(moved(state, "a", "running", "", token=1, untouched=True)) == ""
