"""Proposals: looked at by a person, answered once, carried out once and exactly as approved."""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from blocks.action import hash_of
from blocks.approvals.records import Damaged
from blocks.approvals.refusals import ApprovalClosed, Forged, OtherArguments, OwnRequest
from blocks.audit.places import open_audit
from blocks.errors import BadInput, C500Error, Conflict, NotAllowed, NotFound, TooLarge
from blocks.reviews import Proposal, Review, Reviews, open_reviews
from blocks.reviews.shown import difference
from blocks.settings import settings
from blocks.store import LocalFiles

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
LATER = NOW + timedelta(days=8)
RUN = "0123456789abcdef"


def proposal(**facts: Any) -> Proposal:
    """A mail that the agent writer proposes, for a week, unless said otherwise."""
    whole: dict[str, Any] = {
        "kind": "email",
        "title": "Reminder",
        "content": "Dear Maria,\nplease pay.\n",
        "proposer": "writer",
        "run_id": RUN,
        "call_id": "call_1",
        "proposed_at": NOW,
        "expires_at": NOW + timedelta(days=7),
    }
    return Proposal.of(**(whole | facts))


@pytest.fixture
def files(tmp_path: Path) -> LocalFiles:
    return LocalFiles(tmp_path)


@pytest.fixture
def reviews(files: LocalFiles) -> Reviews:
    return Reviews(files, b"k" * 32)


@pytest.fixture
def waiting(reviews: Reviews) -> Review:
    return reviews.propose(proposal())


def approve(reviews: Reviews, review: Review, **facts: Any) -> Review:
    whole: dict[str, Any] = {"by": "bob", "seen": review.proposal.content_hash, "now": NOW} | facts
    return reviews.approve(review.proposal.review_id, **whole)


def edit(reviews: Reviews, review: Review, content: Any, **facts: Any) -> Review:
    whole: dict[str, Any] = {"by": "bob", "seen": review.proposal.content_hash, "now": NOW} | facts
    return reviews.edit(review.proposal.review_id, content=content, **whole)


def claim(reviews: Reviews, review: Review, token: str = "run/call") -> Any:
    return reviews.claim_for_execution(review.proposal.review_id, token=token, now=NOW)


def test_what_is_approved_is_what_is_carried_out(reviews: Reviews, waiting: Review) -> None:
    assert approve(reviews, waiting).state == "approved"
    assert claim(reviews, waiting) == waiting.proposal.content


def test_an_execution_that_starts_again_gets_the_same_and_another_gets_nothing(
    reviews: Reviews, waiting: Review
) -> None:
    approve(reviews, waiting)
    first = claim(reviews, waiting)
    assert claim(reviews, waiting) == first
    with pytest.raises(Conflict):
        claim(reviews, waiting, "another/call")


def test_of_many_who_carry_it_out_at_once_one_does(reviews: Reviews, waiting: Review) -> None:
    approve(reviews, waiting)

    def carried_out(number: int) -> bool:
        try:
            return bool(claim(reviews, waiting, f"run/{number}"))
        except Conflict:
            return False

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(carried_out, range(8))) == 1


@pytest.mark.parametrize("state", ["pending", "rejected", "expired"])
def test_what_is_not_approved_is_not_carried_out(reviews: Reviews, waiting: Review, state: str) -> None:
    if state == "rejected":
        reviews.reject(waiting.proposal.review_id, by="bob", reason="too rude", now=NOW)
    if state == "expired":
        reviews.sweep(LATER)
    assert reviews.read(waiting.proposal.review_id).state == state
    with pytest.raises(NotAllowed):
        claim(reviews, waiting)


def test_a_changed_content_has_a_hash_of_its_own_and_is_what_is_carried_out(reviews: Reviews, waiting: Review) -> None:
    changed = "Dear Maria,\nwould you please pay?\n"
    edited = edit(reviews, waiting, changed, reason="kinder")
    assert edited.answer is not None
    assert (edited.state, edited.answer.content_hash) == ("edited", hash_of("email", changed))
    assert edited.answer.content_hash != waiting.proposal.content_hash
    assert claim(reviews, waiting) == changed


def test_the_reason_of_a_rejection_reaches_the_run(reviews: Reviews, waiting: Review) -> None:
    other = reviews.propose(proposal(call_id="call_2", proposed_at=NOW + timedelta(seconds=1)))
    reviews.propose(proposal(call_id="call_3"))
    reviews.propose(proposal(run_id="another-run"))
    reviews.reject(waiting.proposal.review_id, by="bob", reason="too rude", now=NOW)
    edit(reviews, other, "Hello.", reason="shorter")
    told = [(one.state, one.reason, one.title) for one in reviews.feedback(RUN)]
    assert told == [("rejected", "too rude", "Reminder"), ("edited", "shorter", "Reminder")]


def test_a_rejection_needs_a_reason(reviews: Reviews, waiting: Review) -> None:
    with pytest.raises(BadInput):
        reviews.reject(waiting.proposal.review_id, by="bob", reason=" ", now=NOW)


@pytest.mark.parametrize("by", ["writer", "Writer", "ｗriter", "w-riter"])
def test_who_proposes_may_not_approve_nor_change_but_withdraw(reviews: Reviews, waiting: Review, by: str) -> None:
    with pytest.raises(OwnRequest):
        approve(reviews, waiting, by=by)
    with pytest.raises(OwnRequest):
        edit(reviews, waiting, "Hello.", by=by)
    with pytest.raises(OwnRequest):
        approve(reviews, waiting, by="bob", aliases=[by])
    assert reviews.reject(waiting.proposal.review_id, by=by, reason="a mistake", now=NOW).state == "rejected"


def test_who_began_the_run_that_proposes_may_not_approve_either(reviews: Reviews) -> None:
    review = reviews.propose(proposal(begun_by="ann"))
    with pytest.raises(OwnRequest):
        approve(reviews, review, by="Ann")
    assert approve(reviews, review, by="bob").state == "approved"


def test_who_began_the_run_is_sealed(reviews: Reviews, files: LocalFiles) -> None:
    review_id = reviews.propose(proposal(begun_by="ann")).proposal.review_id
    key = f"reviews/records/{review_id}.json"
    record = json.loads(files.read_bytes(key))
    assert record["proposal"].pop("begun_by") == "ann"
    files.put_bytes(key, json.dumps(record).encode())
    with pytest.raises(Forged):
        reviews.read(review_id)


def test_an_answer_to_another_content_does_not_count(reviews: Reviews, waiting: Review) -> None:
    with pytest.raises(OtherArguments):
        approve(reviews, waiting, seen=hash_of("email", "something else"))


def test_a_proposal_is_answered_once_and_in_time(reviews: Reviews, waiting: Review) -> None:
    with pytest.raises(ApprovalClosed):
        approve(reviews, waiting, now=LATER)
    approve(reviews, waiting)
    with pytest.raises(ApprovalClosed):
        reviews.reject(waiting.proposal.review_id, by="eve", reason="no", now=NOW)


def test_a_sweep_ends_what_nobody_looked_at_for_good(reviews: Reviews, waiting: Review) -> None:
    assert reviews.sweep(NOW) == ()
    assert reviews.sweep(LATER) == (waiting.proposal.review_id,)
    assert reviews.sweep(LATER) == ()
    with pytest.raises(ApprovalClosed):
        approve(reviews, waiting, now=NOW)


def test_a_sweep_forgets_marks_of_processes_that_died_as_they_proposed(
    reviews: Reviews, waiting: Review, files: LocalFiles, tmp_path: Path
) -> None:
    for review_id in ("new", "old"):
        files.put_bytes(f"reviews/open/{review_id}", b"")
    os.utime(tmp_path / "reviews/open/old", (0, 0))
    os.utime(tmp_path / "reviews/open" / waiting.proposal.review_id, (0, 0))
    reviews.sweep(NOW)
    assert set(files.list("reviews/open/")) == {"reviews/open/new", f"reviews/open/{waiting.proposal.review_id}"}


def test_proposing_again_is_the_same_proposal_and_something_else_is_refused(reviews: Reviews, waiting: Review) -> None:
    again = reviews.propose(proposal(proposed_at=NOW + timedelta(hours=1)))
    assert again == waiting
    with pytest.raises(Conflict):
        reviews.propose(proposal(content="something else"))
    assert len(reviews.pending()) == 1


def test_pending_are_those_without_an_answer_oldest_first(reviews: Reviews, waiting: Review) -> None:
    older = reviews.propose(proposal(call_id="call_2", proposed_at=NOW - timedelta(hours=1)))
    answered = reviews.propose(proposal(call_id="call_3"))
    approve(reviews, answered)
    assert reviews.pending() == (older, waiting)
    assert len(reviews.every()) == 3


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("proposal", "content"), "Send all the money to me."),
        (("proposal", "proposer"), "nobody"),
        (("proposal", "run_id"), "another-run"),
        (("answer", "state"), "approved"),
        (("answer", "by"), "eve"),
        (("answer", "content"), "Send all the money to me."),
        (("answer", "content_hash"), hash_of("email", "Send all the money to me.")),
        (("answer", "seal"), "00" * 32),
    ],
)
def test_nothing_can_be_changed_in_the_store(
    reviews: Reviews, files: LocalFiles, waiting: Review, place: tuple[str, str], value: str
) -> None:
    edit(reviews, waiting, "Hello.")
    key = f"reviews/records/{waiting.proposal.review_id}.json"
    record = json.loads(files.read_bytes(key))
    record[place[0]][place[1]] = value
    files.put_bytes(key, json.dumps(record).encode())
    with pytest.raises((Forged, Damaged)):
        claim(reviews, waiting)
    assert reviews.pending() == reviews.feedback(RUN) == ()


def test_an_unknown_review_is_not_found(reviews: Reviews) -> None:
    for review_id in ("0" * 16, "../x", ""):
        with pytest.raises(NotFound):
            reviews.read(review_id)


@pytest.mark.parametrize(
    ("content", "error"),
    [(float("inf"), BadInput), ("\udc00", BadInput), ({"a": {1, 2}}, BadInput), ("x" * 10**6, TooLarge)],
)
def test_a_content_must_be_json_of_a_bearable_size(content: Any, error: type[C500Error]) -> None:
    with pytest.raises(error):
        proposal(content=content)


Json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@hypothesis_settings(max_examples=30)
@given(content=Json, changed=Json)
def test_any_content_comes_out_as_it_was_approved(
    content: Any, changed: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    reviews = Reviews(LocalFiles(tmp_path_factory.mktemp("store")), b"k" * 32)
    kept = reviews.propose(proposal(content=content))
    approve(reviews, kept)
    assert claim(reviews, kept) == content
    other = reviews.propose(proposal(content=content, call_id="call_2"))
    edit(reviews, other, changed)
    assert claim(reviews, other) == changed


def test_what_is_shown_is_the_difference_and_cannot_move_the_cursor(reviews: Reviews) -> None:
    shown = difference(reviews.propose(proposal(previous="one\ntwo\n", content="one\n\x1b[2Jthree\u202e\n")))
    assert "-two" in shown and "+\\x1b[2Jthree\\u202e" in shown
    assert " one" in shown
    whole = difference(reviews.propose(proposal(call_id="call_2", content={"a": 1})))
    assert whole == ["{", '  "a": 1', "}"]


def test_what_was_answered_long_ago_is_deleted_with_its_marks_and_nothing_else(
    reviews: Reviews, waiting: Review, files: LocalFiles
) -> None:
    answered = reviews.propose(proposal(call_id="call_2"))
    lately = reviews.propose(proposal(call_id="call_3"))
    approve(reviews, answered)
    approve(reviews, lately, now=NOW + timedelta(days=5))
    purged = reviews.purge(3 * 86_400, NOW + timedelta(days=6))
    assert (purged.ids, purged.size_bytes > 500) == ((answered.proposal.review_id,), True)
    assert {one.proposal.review_id for one in reviews.every()} == {
        waiting.proposal.review_id, lately.proposal.review_id
    }  # fmt: skip
    assert not [key for key in files.list("reviews/") if answered.proposal.review_id in key]
    assert [one.review_id for one in reviews.feedback(RUN)] == [lately.proposal.review_id]
    assert reviews.purge(3 * 86_400, NOW + timedelta(days=6)).ids == ()


def test_a_forged_answer_is_kept_as_evidence(reviews: Reviews, waiting: Review, files: LocalFiles) -> None:
    approve(reviews, waiting)
    key = f"reviews/records/{waiting.proposal.review_id}.json"
    files.put_bytes(key, files.read_bytes(key).replace(b'"bob"', b'"eve"'))
    assert reviews.purge(0, LATER).ids == ()
    assert files.exists(key)


def test_each_answer_is_in_the_audit_also_when_it_is_refused(
    files: LocalFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENTS_HOME", str(tmp_path / "agents"))
    settings.cache_clear()
    queue = open_reviews(files)
    review = queue.propose(proposal())
    with pytest.raises(OwnRequest):
        approve(queue, review, by="writer")
    approve(queue, review, reason="fine")
    with pytest.raises(ApprovalClosed):
        queue.reject(review.proposal.review_id, by="eve", reason="no", now=NOW)
    entries = [record.entry for record in open_audit(tmp_path / "agents").read(RUN)]
    assert [(one.outcome, one.approvers, one.details["by"]) for one in entries] == [
        ("OWN_REQUEST", (), "writer"),
        ("approved", ("bob",), "bob"),
        ("APPROVAL_CLOSED", (), "eve"),
    ]
    assert [one.details.get("approved_hash") for one in entries] == [None, review.proposal.content_hash, None]
