"""Hand-offs: kept once, answered once."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from blocks.errors import BadInput, Conflict, NotFound, StoreFailed
from blocks.store import LocalFiles
from tasks.agents.team.handoff import HANDOFFS, HandBack, HandOff, HandOffs, Waited, handoff_id
from tests.tasks.agents.team.making import STARTED


def off(call: str = "c1", run: str = "run1", **more: Any) -> HandOff:
    fields = {"agent": "operator", "user": "ann", "goal": "g", "why": "I may not.", "question": "Do it?"}
    return HandOff(handoff_id=handoff_id(run, call), run_id=run, at=more.pop("at", STARTED), **(fields | more))


def back(handoff: HandOff, **said: Any) -> HandBack:
    return HandBack(handoff_id=handoff.handoff_id, by="bob", at=STARTED, **({"answer": "Yes."} | said))


def test_a_handoff_waits_until_it_is_answered(tmp_path: Path) -> None:
    handoffs = HandOffs(LocalFiles(tmp_path))
    second, first = off("c2", at=STARTED + timedelta(seconds=1)), off("c1")
    for one in (second, first):
        handoffs.give(one)
    assert handoffs.waiting() == [first, second]
    assert handoffs.back(first.handoff_id) is None
    answer = handoffs.answer(back(first))
    assert handoffs.back(first.handoff_id) == answer
    assert handoffs.waiting() == [second]
    assert handoffs.all() == [first, second]


def test_the_same_call_hands_off_once(tmp_path: Path) -> None:
    handoffs = HandOffs(LocalFiles(tmp_path))
    first = handoffs.give(off())
    assert handoffs.give(off(question="Otherwise?")) == first


def test_handoffs_of_a_run_are_its_own(tmp_path: Path) -> None:
    handoffs = HandOffs(LocalFiles(tmp_path))
    one, _ = handoffs.give(off(run="run1")), handoffs.give(off(run="run11"))
    assert handoffs.waiting("run1") == [one]


def test_nobody_answers_twice(tmp_path: Path) -> None:
    handoffs = HandOffs(LocalFiles(tmp_path))
    given = handoffs.give(off())
    first = handoffs.answer(back(given))
    with pytest.raises(Conflict, match="answered before"):
        handoffs.answer(back(given, answer="No!"))
    assert handoffs.back(given.handoff_id) == first


def test_what_is_handed_back_holds_no_secret(tmp_path: Path) -> None:
    handoffs = HandOffs(LocalFiles(tmp_path))
    given = handoffs.give(off())
    handoffs.answer(back(given, answer="It is password=hunter2-hunter2"))
    found = handoffs.back(given.handoff_id)
    assert found is not None
    assert "hunter2" not in found.answer


def test_the_answer_to_another_handoff_is_none(tmp_path: Path) -> None:
    files = LocalFiles(tmp_path)
    handoffs = HandOffs(files)
    one, other = handoffs.give(off("c1")), handoffs.give(off("c2"))
    handoffs.answer(back(one))
    content = files.read_bytes(f"{HANDOFFS}/{one.handoff_id}/back.json")
    files.put_bytes(f"{HANDOFFS}/{other.handoff_id}/back.json", content)
    with pytest.raises(StoreFailed, match="lies in the store"):
        handoffs.back(other.handoff_id)


def test_who_hands_back_says_something(tmp_path: Path) -> None:
    handoffs = HandOffs(LocalFiles(tmp_path))
    given = handoffs.give(off())
    with pytest.raises(BadInput, match="nothing is handed back"):
        handoffs.answer(back(given, answer=" "))


@pytest.mark.parametrize("wrong", ["none", "../../keys", ""])
def test_what_is_not_there_is_not_found(tmp_path: Path, wrong: str) -> None:
    with pytest.raises((NotFound, BadInput)):
        HandOffs(LocalFiles(tmp_path)).find(wrong)


def test_a_team_that_waits_is_known(tmp_path: Path) -> None:
    handoffs = HandOffs(LocalFiles(tmp_path))
    given = handoffs.give(off())
    assert handoffs.team_of(given.handoff_id) is None
    handoffs.waited_by(given.handoff_id, Waited(team="t1", task_id="web"))
    assert handoffs.team_of(given.handoff_id) == Waited(team="t1", task_id="web")


def test_a_damaged_record_is_told(tmp_path: Path) -> None:
    files = LocalFiles(tmp_path)
    given = HandOffs(files).give(off())
    files.put_bytes(f"agents/handoffs/{given.handoff_id}/back.json", b"{}")
    with pytest.raises(StoreFailed, match="damaged"):
        HandOffs(files).back(given.handoff_id)
