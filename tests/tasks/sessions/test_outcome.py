"""What a turn came to, and whether a task goes on, as pure functions."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.iiagent.checks import Proven
from blocks.iiagent.proof import HOLDS, Proof
from blocks.iiagent.turn import Turn, TurnError
from tasks.sessions.allowance import next_move
from tasks.sessions.outcome import Outcome, OutcomeKind, outcome_of
from tasks.sessions.record import Step, TaskRecord
from tasks.sessions.task import Allowance
from tasks.sessions.words import answer_text, continue_text

PROVEN, MISSING = Proven(proofs=(HOLDS,)), Proven(proofs=(Proof(holds=False, missing="output.csv is missing"),))
WORK = {"shell_exec": 1}


def turn(**fields: Any) -> Turn:
    return Turn(**{"ended": "response", "tool_calls": WORK, **fields})


FAILED = turn(ended="error", error=TurnError(kind="rate", message="m", fix="f"))


@pytest.mark.parametrize(
    ("ended", "proven", "worked", "kind"),
    [
        (turn(), PROVEN, True, "done"),
        (turn(), MISSING, True, "incomplete"),
        (turn(), None, True, "done"),
        (turn(ended="max_turns"), PROVEN, True, "done"),
        (turn(ended="max_turns"), None, True, "max_turns"),
        (turn(tool_calls={}), MISSING, False, "silent_stop"),
        (turn(tool_calls={}), PROVEN, False, "silent_stop"),  # the files were there before
        (turn(tool_calls={}), PROVEN, True, "done"),
        (turn(ended="interrupted"), MISSING, True, "interrupted"),
        (FAILED, PROVEN, True, "error"),
        (turn(messages=("Which one?",)), MISSING, True, "needs_input"),
        (turn(messages=("Which one?",)), None, True, "needs_input"),
        (turn(messages=("Which one?",)), PROVEN, True, "done"),
        (turn(messages=("**Tiếng Việt hay tiếng Anh？** ",)), None, True, "needs_input"),
        (turn(messages=("Which one? I take the first.",)), MISSING, True, "incomplete"),
    ],
)
def test_what_a_turn_came_to(ended: Turn, proven: Proven | None, worked: bool, kind: OutcomeKind) -> None:
    assert outcome_of(ended, proven, worked=worked).kind == kind


def record(*kinds: OutcomeKind, since: int = 0, marks: str = "", **fields: Any) -> TaskRecord:
    steps = [
        Step(
            kind="goal" if number == 0 else "continue",
            turn=turn(**fields),
            outcome=Outcome(kind=kind),
            fingerprint=marks[number] if marks else str(number),
        )
        for number, kind in enumerate(kinds)
    ]
    return TaskRecord(task_id="t", steps=tuple(steps), since=since)


@pytest.mark.parametrize(
    ("so_far", "allowance", "move"),
    [
        (record(), {}, ("goal", "")),
        (record("done"), {}, (None, "")),
        (record("incomplete"), {}, ("continue", "")),
        (record("incomplete"), {"max_continues": 0}, (None, "max_continues")),
        (record("incomplete", "incomplete"), {"max_continues": 1}, (None, "max_continues")),
        (record("incomplete", "incomplete"), {"max_continues": 2}, ("continue", "")),
        (record("incomplete", "incomplete", marks="aa"), {}, ("continue", "")),
        (record("incomplete", "incomplete", "incomplete", marks="aaa"), {}, (None, "no_progress")),
        (record("incomplete", "incomplete", "incomplete", marks="aab"), {}, ("continue", "")),
        (record("silent_stop"), {}, ("continue", "")),
        (record("silent_stop", "silent_stop"), {}, (None, "max_silent")),
        (record("silent_stop", "incomplete", "silent_stop"), {}, ("continue", "")),
        (record(*["silent_stop"] * 3, marks="aaa"), {"max_silent": 4}, ("continue", "")),
        (record(*["silent_stop"] * 4, marks="aaaa"), {"max_silent": 4, "max_continues": 9}, (None, "max_silent")),
        (record("incomplete", *["silent_stop"] * 2, marks="aaa"), {"max_silent": 3}, ("continue", "")),
        (record("incomplete", "incomplete", "silent_stop", marks="aaa"), {}, (None, "no_progress")),
        (record("silent_stop", "silent_stop", "incomplete", marks="aaa"), {"max_silent": 9}, (None, "no_progress")),
        (record(*["silent_stop"] * 4, marks="aaaa"), {"max_silent": 9}, (None, "max_continues")),
        (record("error"), {}, (None, "")),
        (record("interrupted"), {}, (None, "")),
        (record("needs_input"), {}, ("answer", "")),
        (record("incomplete", seconds=5.0), {"wall_s": 5.0}, (None, "wall_clock")),
        (record("incomplete"), {"tool_calls": 1}, (None, "tool_calls")),
        (record("incomplete", since=1), {"max_continues": 0}, ("continue", "")),
        (record("error", since=1), {}, ("continue", "")),
    ],
)
def test_what_a_task_does_next(so_far: TaskRecord, allowance: dict[str, Any], move: tuple[str | None, str]) -> None:
    assert next_move(so_far, Allowance(**allowance), can_answer=True) == move


def test_a_question_that_nobody_answers_ends_it() -> None:
    assert next_move(record("needs_input"), Allowance(), can_answer=False) == (None, "")


@given(
    kinds=st.lists(st.sampled_from(["incomplete", "max_turns", "silent_stop", "needs_input"]), max_size=40),
    marks=st.text(alphabet="ab", min_size=40, max_size=40),
    max_continues=st.integers(0, 10),
)
def test_no_task_goes_on_for_ever(kinds: list[OutcomeKind], marks: str, max_continues: int) -> None:
    allowance = Allowance(max_continues=max_continues)
    for count in range(len(kinds) + 1):
        if next_move(record(*kinds[:count], marks=marks), allowance, can_answer=True).kind is None:
            break
    else:
        count = len(kinds)
    assert count <= max_continues + 1


@pytest.mark.parametrize("kind", ["incomplete", "max_turns", "silent_stop", "interrupted", "error", "needs_input"])
def test_what_goes_on_stands_alone_and_is_no_command(kind: OutcomeKind) -> None:
    goal = "/etc: write {output.csv} in full."
    text = continue_text(goal, Outcome(kind=kind, missing="- output.csv is missing"), ["./uploaded_files/a.csv"])
    for part in (goal, "output.csv is missing", "./uploaded_files/a.csv"):
        assert part in text
    assert not text.startswith("/")
    assert goal in answer_text(goal, "Which?", "This.")
