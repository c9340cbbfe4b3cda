"""The tool `hand_off`: what is kept of it, and how its run ends and goes on."""

from collections.abc import Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest
from pydantic_ai.exceptions import AgentRunError

from blocks.policy import Policy
from blocks.store import open_store
from tasks.agents.opened import Opened, opened
from tasks.agents.permission import action_of
from tasks.agents.team.handoff import HandBack, HandedOff, HandOffs
from tasks.agents.tool import Place
from tasks.agents.tools.handoff import TOOL
from tests.tasks.agents.team.making import Recorded
from tests.tasks.agents.tools.conftest import Hand

SAID = {"why": "Only a person may.", "question": "Which one? password=hunter2-hunter2", "done": ["I looked."]}


@pytest.fixture
def work(place: Place) -> Iterator[Opened]:
    """As much of a run as the tool looks at."""
    facts = SimpleNamespace(
        run_id="00ff00ff00ff00ff",
        goal="Mend it.",
        place=place,
        record=Recorded(),
        labels=set(),
        user="lan",
        begun_by="mai",
        definition=SimpleNamespace(name="operator"),
    )
    with opened(cast("Opened", facts)) as made:
        yield made


async def handed_off(hand: Hand, call_id: str = "c1") -> HandedOff:
    with pytest.raises(AgentRunError) as ended:
        await hand.use(TOOL, call_id=call_id, **SAID)
    assert isinstance(ended.value.__cause__, HandedOff)
    return ended.value.__cause__


def recorded(work: Opened) -> dict[str, Any]:
    return cast("Recorded", work.record).entries


async def test_it_ends_the_run_and_keeps_what_was_handed_off_without_secrets(hand: Hand, work: Opened) -> None:
    error = await handed_off(hand)
    assert error.code == "HANDED_OFF"
    [kept] = HandOffs(open_store()).waiting()
    assert error.details["handoff_id"] == kept.handoff_id
    assert (kept.goal, kept.done, kept.user, kept.agent) == ("Mend it.", ("I looked.",), "lan", "operator")
    assert "hunter2" not in kept.question
    assert "hunter2" not in str(recorded(work))
    assert [phase for phase, _ in recorded(work).values()] == ["handoff"]


async def test_a_run_that_goes_on_unanswered_waits_again_and_hands_off_no_second_time(hand: Hand, work: Opened) -> None:
    first = await handed_off(hand)
    assert (await handed_off(hand)).details == first.details
    assert len(HandOffs(open_store()).all()) == 1
    assert len(recorded(work)) == 1


@pytest.mark.parametrize(("go_on", "then"), [(True, "go on with your goal"), (False, "end now")])
async def test_the_answer_is_the_result_of_the_call(hand: Hand, work: Opened, go_on: bool, then: str) -> None:
    error = await handed_off(hand)
    back = HandBack(handoff_id=error.details["handoff_id"], by="bob", did="I did.", go_on=go_on, at=datetime.now(UTC))
    HandOffs(open_store()).answer(back)
    told = await hand.use(TOOL, call_id="c1", **SAID)
    assert told["handed_back"] == {"by": "bob", "did": "I did."}
    assert told["then"].startswith(then)
    assert recorded(work)["c1/handback"][1]["approvers"] == ("bob",)


@pytest.mark.parametrize(("by", "labels"), [("L A N", set()), ("mai", set()), ("bob", {"untrusted"})])
async def test_what_another_than_the_user_hands_back_is_untrusted(
    hand: Hand, work: Opened, by: str, labels: set[str]
) -> None:
    error = await handed_off(hand)
    HandOffs(open_store()).answer(
        HandBack(handoff_id=error.details["handoff_id"], by=by, did="I did.", at=datetime.now(UTC))
    )
    assert TOOL.labels_of(await hand.use(TOOL, call_id="c1", **SAID)) == labels


async def test_another_call_is_another_handoff(hand: Hand, work: Opened) -> None:
    await handed_off(hand, "c1")
    await handed_off(hand, "c2")
    assert len(HandOffs(open_store()).waiting()) == 2


@pytest.mark.parametrize("profile", ["development", "staging", "production", "incident"])
def test_the_shipped_rules_let_an_agent_hand_off_also_with_nobody_to_ask(work: Opened, profile: str) -> None:
    decision = Policy.read(None).decide(action_of(work, TOOL, SAID), profile, now=datetime.now(UTC), attended=False)
    assert decision.verdict in ("allow", "notify")
