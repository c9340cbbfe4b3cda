"""Who answers what an agent has proposed for review, and what somebody writes into the store of the reviews."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from blocks.action import hash_of
from blocks.approvals import login_name
from blocks.errors import C500Error
from blocks.reviews import Reviews, open_reviews
from blocks.reviews.review import Review, content_hash
from blocks.store import open_store
from blocks.store.files import Files
from tests.redteam.case import RunCase
from tests.redteam.parts import Reviewed
from tests.redteam.world import World

Json = dict[str, Any]


def answer(case: RunCase, world: World, run_id: str) -> None:
    """Everybody answers, and then somebody writes into the store; the ids are `<review:0>` and so on."""
    reviews = open_reviews()
    ids = [hash_of("review", [run_id, f"call-{number}-0"])[:16] for number in range(len(case.earlier))]
    world.ids |= {f"review:{number}": review_id for number, review_id in enumerate(ids)}
    for one in case.reviewed:
        _answer(reviews, ids, Reviewed.model_validate(world.filled(one.model_dump())))
    if case.review_forgery:
        FORGERIES[case.review_forgery](open_store(), [reviews.read(review_id) for review_id in ids])


def _answer(reviews: Reviews, ids: list[str], said: Reviewed) -> None:
    review_id, seen = ids[said.proposal], ids[said.proposal if said.seen is None else said.seen]
    given = reviews.read(review_id).proposal
    by, now = said.by.replace("<login>", login_name()), given.proposed_at + timedelta(seconds=said.after_s)
    looked_at = reviews.read(seen).proposal.content_hash
    refused = None
    try:
        if said.says == "approve":
            reviews.approve(review_id, by=by, seen=looked_at, now=now)
        elif said.says == "edit":
            reviews.edit(review_id, by=by, seen=looked_at, content=said.content, now=now)
        else:
            reviews.reject(review_id, by=by, reason="no", now=now)
    except C500Error as error:
        refused = error.code
    assert refused == said.refused, f"the answer of {said.by}"


def _changed(files: Files, review_id: str, change: Callable[[Json], None]) -> None:
    """Write into the store as who has got hold of it, and not of the key of the seals."""
    key = f"reviews/records/{review_id}.json"
    record = json.loads(files.read_bytes(key))
    change(record)
    files.put_bytes(key, json.dumps(record).encode())


def _content(files: Files, found: list[Review]) -> None:
    """What was approved is exchanged for another text, with its hash."""
    proposal = found[0].proposal
    bad = {"content": "rm -rf /\n", "content_hash": content_hash(proposal.kind, "rm -rf /\n")}
    _changed(files, proposal.review_id, lambda record: record["proposal"].update(bad))


def _answer_moved(files: Files, found: list[Review]) -> None:
    """The genuine approval of the first proposal is put under the second."""
    first = found[0].model_dump(mode="json")["answer"]
    _changed(files, found[1].proposal.review_id, lambda record: record.update(answer=first))


def _edited(files: Files, found: list[Review]) -> None:
    """An approval as it is becomes one of another text."""
    bad = {"state": "edited", "content": "rm -rf /\n"}
    _changed(files, found[0].proposal.review_id, lambda record: record["answer"].update(bad))


def _another_proposer(files: Files, found: list[Review]) -> None:
    _changed(files, found[0].proposal.review_id, lambda record: record["proposal"].update(proposer="zoe"))


FORGERIES: dict[str, Callable[[Files, list[Review]], None]] = {
    "another content": _content,
    "the answer to another proposal": _answer_moved,
    "an answer that changes the content": _edited,
    "another proposer": _another_proposer,
}
