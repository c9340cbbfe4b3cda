"""`c500 handoff`: what waits for a person is listed, shown and answered."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from blocks.approvals import login_name
from blocks.errors import BadInput, Conflict, NotFound
from blocks.store import open_store
from deployments.cli import app, handoff
from tasks.agents.team.handoff import HandOff, HandOffs, Waited
from tests.tasks.agents.team.making import STARTED

assert handoff.commands


def c500(*arguments: str) -> Result:
    """Run a command in this process; what it raises is in `exception`."""
    return CliRunner().invoke(app, ["handoff", *arguments])


@pytest.fixture
def handoffs(tmp_path: Path) -> HandOffs:
    return HandOffs(open_store())


def give(handoffs: HandOffs, name: str = "r1-1", **more: Any) -> HandOff:
    fields = {"agent": "operator", "user": "ann", "goal": "Mend it.", "why": "I may not.", "question": "Which pump?"}
    return handoffs.give(HandOff(handoff_id=name, run_id=name.split("-")[0], at=STARTED, **(fields | more)))


def test_what_waits_is_listed_also_as_json(handoffs: HandOffs) -> None:
    assert "nothing waits" in c500("list").output
    give(handoffs)
    give(handoffs, "r2-1", question="x" * 200)
    told = c500("list").output
    assert "r1-1" in told
    assert "operator: Which pump?" in told
    assert "x" * 80 not in told
    assert [one["handoff_id"] for one in json.loads(c500("list", "--json").output)] == ["r1-1", "r2-1"]


def test_it_is_answered_once_and_says_how_the_run_goes_on(handoffs: HandOffs) -> None:
    give(handoffs)
    told = c500("answer", "r1-1", "--did", "I opened the valve.", "--answer", "The left one.")
    assert told.exit_code == 0
    assert "c500 agent --resume r1" in told.output
    back = handoffs.back("r1-1")
    assert back is not None
    assert (back.by, back.did, back.answer, back.go_on) == (login_name(), "I opened the valve.", "The left one.", True)
    assert isinstance(c500("answer", "r1-1", "--answer", "No!").exception, Conflict)
    assert "nothing waits" in c500("list").output
    assert "answered" in c500("list", "--all").output


def test_of_a_team_the_team_goes_on(handoffs: HandOffs) -> None:
    give(handoffs)
    handoffs.waited_by("r1-1", Waited(team="t1", task_id="web"))
    facts = json.loads(c500("answer", "r1-1", "--answer", "Yes.", "--end", "--json").output)
    assert (facts["handed_back"]["go_on"], facts["team"]["team"]) == (False, "t1")
    assert "c500 team --resume t1" in c500("show", "r1-1").output


def test_it_is_shown_and_what_an_agent_wrote_moves_no_cursor(handoffs: HandOffs) -> None:
    give(handoffs, why="\x1b[2J\x1b[1;1HAll is well.", done=["I looked."], artefacts=["a.txt"])
    told = c500("show", "r1-1").output
    assert "\x1b" not in told
    assert "why: \\x1b[2J" in told
    assert "done: I looked." in told
    assert "files: a.txt" in told
    assert json.loads(c500("show", "r1-1", "--json").output)["handed_back"] is None


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("show", "none"), NotFound),
        (("answer", "none", "--answer", "x"), NotFound),
        (("answer", "r1-1"), BadInput),
        (("answer", "r1-1", "--did", "x" * 20_001), BadInput),
        (("show", "../../keys"), BadInput),
    ],
)
def test_what_is_wrong_is_told(handoffs: HandOffs, arguments: tuple[str, ...], error: type[Exception]) -> None:
    give(handoffs)
    assert isinstance(c500(*arguments).exception, error)


def test_the_beginning_of_an_id_is_enough_and_what_comes_after_is_told(handoffs: HandOffs) -> None:
    give(handoffs, "r1-1234")
    give(handoffs, "r2-1234")
    assert "then go on with `c500 agent --resume r1`" in c500("show", "r1").output
    assert c500("answer", "r1", "--answer", "Left.").exit_code == 0
    assert handoffs.back("r1-1234") is not None
