"""Tools for the review queue: what a person approved is what is used."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from blocks.errors import C500Error, NotAllowed, NotFound
from blocks.redact import Redactor
from blocks.reviews import open_reviews
from blocks.sandbox import open_sandbox
from blocks.trash import Trash
from blocks.workspace import Workspace
from tasks.agents.tool import Call, Place
from tasks.agents.tools.files.writing import versions_of
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


async def test_what_an_approved_text_overwrote_can_be_brought_back(place: Place) -> None:
    (place.workspace.root / "mail.txt").write_text("We never restart.")
    review_id = await proposed(place, previous="mail.txt")
    open_reviews().approve(review_id, by="ben", seen=seen(review_id), now=datetime.now(UTC))
    told = await write_approved(WriteApproved(review_id=review_id, path="mail.txt"), call(place, "c"))
    assert (place.workspace.root / "mail.txt").read_text() == "We restart at noon."
    versions_of(place).restore(place.workspace, place.trash, told["restore_id"])
    assert (place.workspace.root / "mail.txt").read_text() == "We never restart."


async def test_a_path_that_cannot_be_written_does_not_use_an_approval_up(place: Place) -> None:
    review_id = await proposed(place)
    open_reviews().approve(review_id, by="ben", seen=seen(review_id), now=datetime.now(UTC))
    with pytest.raises(NotAllowed):
        await write_approved(WriteApproved(review_id=review_id, path=".git/config"), call(place, "c"))
    await write_approved(WriteApproved(review_id=review_id, path="mail.txt"), call(place, "d"))
    assert (place.workspace.root / "mail.txt").exists()


async def test_what_was_proposed_for_another_user_is_nobody_elses(place: Place) -> None:
    review_id = await proposed(place)
    open_reviews().approve(review_id, by="ben", seen=seen(review_id), now=datetime.now(UTC))
    eves = replace(call(place, "b"), user="eve")
    with pytest.raises(NotFound):
        await outcome(Outcome(review_id=review_id), eves)
    with pytest.raises(NotFound):
        await write_approved(WriteApproved(review_id=review_id, path="mail.txt"), eves)
    await write_approved(WriteApproved(review_id=review_id, path="mail.txt"), call(place, "c"))


@pytest.mark.parametrize("previous", ["mail.txt", None])
async def test_an_approved_text_replaces_only_what_it_was_compared_with(place: Place, previous: str | None) -> None:
    (place.workspace.root / "mail.txt").write_text("We never restart.")
    (place.workspace.root / "other.txt").write_text("Keep me.")
    review_id = await proposed(place, previous=previous)
    open_reviews().approve(review_id, by="ben", seen=seen(review_id), now=datetime.now(UTC))
    with pytest.raises(NotAllowed, match="compared"):
        await write_approved(WriteApproved(review_id=review_id, path="other.txt"), call(place, "b"))
    await write_approved(WriteApproved(review_id=review_id, path=previous or "new.txt"), call(place, "c"))
    assert (place.workspace.root / "other.txt").read_text() == "Keep me."
