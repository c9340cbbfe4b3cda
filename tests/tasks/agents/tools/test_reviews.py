"""Tools for the review queue: what a person approved is what is used."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from blocks.errors import C500Error
from blocks.redact import Redactor
from blocks.reviews import open_reviews
from blocks.sandbox import open_sandbox
from blocks.trash import Trash
from blocks.workspace import Workspace
from tasks.agents.tool import Call, Place
from tasks.agents.tools.reviews import Outcome, Propose, WriteApproved, outcome, propose, write_approved


@pytest.fixture
def place(tmp_path: Path) -> Place:
    (tmp_path / "work").mkdir()
    return Place(
        workspace=Workspace(tmp_path / "work"),
        sandbox=open_sandbox("restricted"),
        trash=Trash(tmp_path / "trash"),
        redactor=Redactor(),
        private=tmp_path,
    )


def call(place: Place, call_id: str) -> Call:
    return Call(run_id="0" * 16, call_id=call_id, agent="operator", user="ann", place=place)


async def proposed(place: Place, call_id: str = "a", **more: Any) -> str:
    told = await propose(
        Propose(kind="email", title="To the team", content="We restart at noon.", **more), call(place, call_id)
    )
    assert told["state"] == "pending"
    return told["review_id"]


def seen(review_id: str) -> str:
    """What a person has looked at."""
    return open_reviews().read(review_id).proposal.content_hash


async def test_what_a_person_edits_is_what_is_written(place: Place) -> None:
    review_id = await proposed(place)
    open_reviews().edit(review_id, content="We restart at one.", by="ben", seen=seen(review_id), now=datetime.now(UTC))
    assert (await outcome(Outcome(review_id=review_id), call(place, "b")))["state"] == "edited"
    await write_approved(WriteApproved(review_id=review_id, path="mail.txt"), call(place, "c"))
    assert (place.workspace.root / "mail.txt").read_text() == "We restart at one."


async def test_what_nobody_approved_is_not_written(place: Place) -> None:
    review_id = await proposed(place)
    with pytest.raises(C500Error):
        await write_approved(WriteApproved(review_id=review_id, path="mail.txt"), call(place, "b"))
    assert not (place.workspace.root / "mail.txt").exists()


async def test_a_rejection_comes_back_with_its_reason(place: Place) -> None:
    review_id = await proposed(place)
    open_reviews().reject(review_id, by="ben", reason="too late in the day", now=datetime.now(UTC))
    told = await outcome(Outcome(review_id=review_id), call(place, "b"))
    assert (told["state"], told["by"], told["reason"]) == ("rejected", "ben", "too late in the day")


async def test_the_same_call_proposes_and_writes_once_and_another_one_is_refused(place: Place) -> None:
    review_id = await proposed(place)
    assert await proposed(place) == review_id
    open_reviews().approve(review_id, by="ben", seen=seen(review_id), now=datetime.now(UTC))
    wanted = WriteApproved(review_id=review_id, path="mail.txt")
    await write_approved(wanted, call(place, "c"))
    await write_approved(wanted, call(place, "c"))
    with pytest.raises(C500Error):
        await write_approved(wanted, call(place, "d"))


async def test_a_proposal_shows_what_it_would_replace(place: Place) -> None:
    (place.workspace.root / "mail.txt").write_text("We never restart.")
    review_id = await proposed(place, previous="mail.txt")
    assert open_reviews().read(review_id).proposal.previous == "We never restart."
