"""`c500 review`: proposals looked at one by one, or by scripts."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from blocks.approvals import login_name
from blocks.approvals.refusals import ApprovalClosed, OwnRequest
from blocks.errors import BadInput
from blocks.reviews import Proposal, Reviews, open_reviews
from blocks.settings import settings
from blocks.store import open_store
from deployments.cli import app, review
from tasks.agents.begin import begin
from tasks.agents.result import AgentOptions
from tasks.agents.runs import RunStore

assert review.commands


def c500(*arguments: str, stdin: str | None = None) -> Result:
    """Run a command in this process; what it raises is in `exception`."""
    return CliRunner().invoke(app, ["review", *arguments], input=stdin)


@pytest.fixture
def reviews() -> Reviews:
    return open_reviews()


@pytest.fixture
def propose(reviews: Reviews) -> Callable[..., str]:
    """Proposes a mail; gives the id."""
    started = datetime.now(UTC)

    def proposed(number: int = 1, **facts: Any) -> str:
        whole: dict[str, Any] = {
            "kind": "email",
            "title": f"Reminder {number}",
            "content": "Dear Maria,\nplease pay.",
            "proposer": "writer",
            "run_id": "0123456789abcdef",
            "call_id": f"call_{number}",
            "proposed_at": started + timedelta(seconds=number),
            "expires_at": started + timedelta(days=1),
        }
        return reviews.propose(Proposal.of(**(whole | facts))).proposal.review_id

    return proposed


@pytest.fixture
def editor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An editor that writes over what it is given: the file's own content is what it writes."""
    wanted, program = tmp_path / "wanted", tmp_path / "editor"
    program.write_text(f'#!/bin/sh\ncat "{wanted}" > "$1"\ntouch -d "+5 seconds" "$1"\n')
    program.chmod(0o755)
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setenv("EDITOR", str(program))
    return wanted


def test_what_waits_is_gone_through_one_by_one(reviews: Reviews, propose: Callable[..., str], editor: Path) -> None:
    ids = [propose(number) for number in range(1, 6)]
    editor.write_text("Dear Maria,\nwould you please pay?\n")
    run = c500(stdin="a\nr\ntoo rude\ne\ns\nq\n")
    assert run.exit_code == 0, run.output
    assert [reviews.read(one).state for one in ids] == ["approved", "rejected", "edited", "pending", "pending"]
    rejected, edited = reviews.read(ids[1]).answer, reviews.read(ids[2]).answer
    assert rejected is not None and (rejected.by, rejected.reason) == (login_name(), "too rude")
    assert edited is not None and edited.content == "Dear Maria,\nwould you please pay?"
    assert "1 of 5" in run.output and "please pay." in run.output


def test_an_answer_that_is_refused_is_told_and_asked_for_again(reviews: Reviews, propose: Callable[..., str]) -> None:
    own = propose(proposer=login_name())
    run = c500(stdin="x\na\nr\nmine\n")
    assert "may not approve" in run.output
    assert reviews.read(own).state == "rejected"


def test_nothing_waiting_is_said() -> None:
    assert "nothing waits" in c500().output
    assert "nothing waits" in c500("list").output


def test_the_difference_to_what_is_replaced_is_shown(propose: Callable[..., str]) -> None:
    shown = c500("show", propose(previous="Dear Maria,\nplease pay me.")[:8]).output
    assert "-please pay me." in shown and "+please pay." in shown


def test_scripts_list_answer_and_get_json(reviews: Reviews, propose: Callable[..., str]) -> None:
    first, second = propose(1), propose(2)
    listed = json.loads(c500("list", "--json").output)
    assert [one["review_id"] for one in listed] == [first, second]
    assert json.loads(c500("approve", first, "--reason", "fine", "--json").output)["state"] == "approved"
    assert "rejected" in c500("reject", second, "--reason", "too rude").output
    assert c500("reject", second).exit_code == 2, "a reason is needed"
    assert c500("list", "--json").output.strip() == "[]"
    assert len(json.loads(c500("list", "--all", "--json").output)) == 2
    assert isinstance(c500("approve", first).exception, ApprovalClosed)
    assert "seal" not in c500("show", first, "--json").output
    assert reviews.feedback("0123456789abcdef")[1].reason == "too rude"


def test_json_is_edited_as_json(reviews: Reviews, propose: Callable[..., str], tmp_path: Path) -> None:
    review_id = propose(content={"to": "maria", "days": 3})
    changed = tmp_path / "changed.json"
    changed.write_text("{")
    assert isinstance(c500("edit", review_id, "--file", str(changed)).exception, BadInput)
    assert c500("edit", review_id, "--file", "-", stdin='{"to": "maria", "days": 7}').exit_code == 0
    assert reviews.claim_for_execution(review_id, token="x", now=datetime.now(UTC)) == {"to": "maria", "days": 7}


def test_an_editor_that_saves_nothing_answers_nothing(
    reviews: Reviews, propose: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setenv("EDITOR", "true")
    review_id = propose()
    assert "not changed" in c500("edit", review_id).output
    assert reviews.read(review_id).state == "pending"


def test_own_proposals_are_not_approved(propose: Callable[..., str]) -> None:
    assert isinstance(c500("approve", propose(proposer=login_name())).exception, OwnRequest)


def test_nothing_is_approved_that_is_empty_unless_that_is_wanted(
    tmp_path: Path, reviews: Reviews, propose: Callable[..., str], editor: Path
) -> None:
    one, empty = propose(), tmp_path / "empty"
    empty.write_text("")
    editor.write_text("")
    for given in (("--file", str(empty)), ()):
        failure = c500("edit", one, *given).exception
        assert isinstance(failure, BadInput)
        assert "--allow-empty" in failure.fix
    assert reviews.read(one).state == "pending"
    assert c500("edit", one, "--file", str(empty), "--allow-empty").exit_code == 0
    assert reviews.read(one).state == "edited"


def test_an_editor_that_does_not_work_is_named(propose: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setenv("EDITOR", "/no/such/editor")
    failure = c500("edit", propose()).exception
    assert isinstance(failure, BadInput)
    assert "set EDITOR" in failure.fix


def test_a_file_that_is_not_there_is_said_so(propose: Callable[..., str]) -> None:
    failure = c500("edit", propose(), "--file", "none.txt").exception
    assert isinstance(failure, BadInput)
    assert failure.message == "there is no file none.txt"


def test_an_answered_one_is_found_by_how_its_id_begins(propose: Callable[..., str]) -> None:
    one = propose()
    c500("approve", one)
    assert f"{one}: email" in c500("show", one[:6]).stdout


def test_the_agent_that_proposes_is_listed(propose: Callable[..., str]) -> None:
    begin(RunStore(open_store()), settings(), "r1", "Write.", "operator", AgentOptions())
    propose(run_id="r1")
    assert "(by agent operator for writer)" in c500("list").stdout
