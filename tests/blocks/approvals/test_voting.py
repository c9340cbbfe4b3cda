"""Answers to a request: which count, which are refused, and what they come to."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from blocks.action import hash_of
from blocks.approvals import Approvals
from blocks.approvals.refusals import ApprovalClosed, OtherArguments, OwnRequest, Unauthenticated, VotedAlready
from blocks.errors import BadInput, NotFound, TooLarge
from tests.blocks.approvals import asking
from tests.blocks.approvals.asking import DELETES, LATER, NOW, asked, vote


@pytest.fixture
def approvals(tmp_path: Path) -> Approvals:
    return asking.approvals(tmp_path)


def test_one_approval_is_enough_for_one_person(approvals: Approvals) -> None:
    approval_id = asked(approvals)
    assert approvals.decision(approval_id, NOW) is None
    vote(approvals, approval_id, "bob", reason="the logs are in the archive")
    decided = approvals.decision(approval_id, NOW)
    assert decided is not None
    assert (decided.approved, decided.by, decided.edited) == (True, ("bob",), False)
    assert decided.arguments == DELETES
    assert decided.reason == "the logs are in the archive"


def test_one_denial_denies_also_after_an_approval(approvals: Approvals) -> None:
    approval_id = asked(approvals, persons=2)
    vote(approvals, approval_id, "bob")
    vote(approvals, approval_id, "eve", "deny", reason="not on a Friday")
    decided = approvals.decision(approval_id, NOW)
    assert decided is not None
    assert (decided.approved, decided.by, decided.reason) == (False, ("eve",), "not on a Friday")


def test_two_persons_must_approve_where_two_are_asked(approvals: Approvals) -> None:
    approval_id = asked(approvals, persons=2, risk="critical")
    vote(approvals, approval_id, "bob")
    assert approvals.decision(approval_id, NOW) is None
    vote(approvals, approval_id, "eve")
    decided = approvals.decision(approval_id, NOW)
    assert decided is not None
    assert (decided.approved, decided.by) == (True, ("bob", "eve"))


@pytest.mark.parametrize("again", ["bob", "Bob", " BOB ", "b.o.b", "ｂｏｂ", "bo\u200bb", "bob\u3164"])
def test_the_same_person_does_not_count_twice_however_written(approvals: Approvals, again: str) -> None:
    approval_id = asked(approvals, persons=2)
    vote(approvals, approval_id, "bob")
    with pytest.raises(VotedAlready):
        vote(approvals, approval_id, again)
    assert approvals.decision(approval_id, NOW) is None


@pytest.mark.parametrize("by", ["ann", "ANN", "Ann ", "ａｎｎ", "a\u00adnn", "a-n-n"])
@pytest.mark.parametrize("verdict", ["approve", "deny"])
def test_who_asks_may_not_answer(approvals: Approvals, by: str, verdict: str) -> None:
    approval_id = asked(approvals)
    with pytest.raises(OwnRequest):
        vote(approvals, approval_id, by, verdict)
    assert approvals.read(approval_id).votes == ()


def test_who_asks_may_not_answer_by_the_name_of_a_key(approvals: Approvals) -> None:
    approval_id = asked(approvals, requester="0a1b2c3d4e5f")
    with pytest.raises(OwnRequest):
        vote(approvals, approval_id, "Ann Lee", channel="gateway", aliases=["0a1b2c3d4e5f"])


@pytest.mark.parametrize("by", ["", "  ", "…", "\u200b", "аnn", "x" * 201])
def test_what_is_no_name_or_looks_like_another_is_refused(approvals: Approvals, by: str) -> None:
    """The fifth begins with a Cyrillic letter."""
    with pytest.raises(BadInput):
        vote(approvals, asked(approvals), by)


def test_a_request_must_say_who_asks() -> None:
    with pytest.raises(BadInput):
        asking.request(requester=" ")


def test_nothing_counts_after_the_decision(approvals: Approvals) -> None:
    approval_id = asked(approvals)
    vote(approvals, approval_id, "bob")
    with pytest.raises(ApprovalClosed):
        vote(approvals, approval_id, "eve", "deny")
    decided = approvals.decision(approval_id, NOW)
    assert decided is not None and decided.approved


def test_nothing_counts_when_time_is_up(approvals: Approvals) -> None:
    approval_id = asked(approvals)
    with pytest.raises(ApprovalClosed):
        vote(approvals, approval_id, "bob", now=NOW + timedelta(hours=1))
    decided = approvals.decision(approval_id, LATER)
    assert decided is not None
    assert (decided.approved, decided.by) == (False, ())


def test_a_clock_that_is_set_back_does_not_reopen_what_was_denied(approvals: Approvals) -> None:
    approval_id = asked(approvals)
    assert approvals.decision(approval_id, LATER) is not None
    with pytest.raises(ApprovalClosed):
        vote(approvals, approval_id, "bob", now=NOW)
    decided = approvals.decision(approval_id, NOW)
    assert decided is not None and not decided.approved


@pytest.mark.parametrize(("risk", "counts"), [("low", True), ("medium", True), ("high", False), ("critical", False)])
def test_a_form_counts_up_to_medium_risk(approvals: Approvals, risk: str, counts: bool) -> None:
    approval_id = asked(approvals, risk=risk)
    if counts:
        vote(approvals, approval_id, "bob", channel="prefect")
    else:
        with pytest.raises(Unauthenticated):
            vote(approvals, approval_id, "bob", channel="prefect")
    assert (approvals.decision(approval_id, NOW) is not None) == counts


def test_how_far_a_form_counts_can_be_chosen(tmp_path: Path) -> None:
    strict = asking.approvals(tmp_path, form_up_to="low")
    with pytest.raises(Unauthenticated):
        vote(strict, asked(strict, risk="medium"), "bob", channel="prefect")


def test_arguments_may_be_changed_and_get_a_hash_of_their_own(approvals: Approvals) -> None:
    approval_id = asked(approvals)
    changed = DELETES | {"keep_days": 30}
    vote(approvals, approval_id, "bob", arguments=changed)
    decided = approvals.decision(approval_id, NOW)
    assert decided is not None
    assert (decided.approved, decided.edited, decided.arguments) == (True, True, changed)
    assert approvals.read(approval_id).votes[0].arguments_hash == hash_of("delete_file", changed)


def test_arguments_that_come_back_as_they_were_are_not_changed(approvals: Approvals) -> None:
    hidden = {"url": "https://x/?key=[REDACTED:key]"}
    approval_id = asked(approvals, arguments=hidden, arguments_hash=hash_of("delete_file", {"url": "https://x/?key=1"}))
    vote(approvals, approval_id, "bob", arguments=dict(hidden))
    decided = approvals.decision(approval_id, NOW)
    assert decided is not None and not decided.edited


@pytest.mark.parametrize("changed", [True, 1.0])
def test_arguments_that_only_python_takes_for_equal_are_changed(approvals: Approvals, changed: object) -> None:
    approval_id = asked(approvals, arguments={"force": 1})
    vote(approvals, approval_id, "bob", arguments={"force": changed})
    decided = approvals.decision(approval_id, NOW)
    assert decided is not None and decided.edited
    assert repr(decided.arguments) == repr({"force": changed})


def test_changed_arguments_may_not_hold_the_gap_of_a_secret(approvals: Approvals) -> None:
    approval_id = asked(approvals, arguments={"url": "https://x/?key=[REDACTED:key]"}, arguments_hash="0" * 64)
    with pytest.raises(BadInput, match="secret"):
        vote(approvals, approval_id, "bob", arguments={"url": "https://y/?key=[REDACTED:key]"})


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"n": float("nan")}, BadInput),
        ({"text": "\ud800"}, BadInput),
        ({"text": "x" * 1_000_001}, TooLarge),
        ({"when": NOW}, BadInput),
    ],
)
def test_changed_arguments_must_be_json(
    approvals: Approvals, arguments: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        vote(approvals, asked(approvals), "bob", arguments=arguments)


def test_an_answer_to_other_arguments_does_not_count(approvals: Approvals) -> None:
    approval_id = asked(approvals)
    with pytest.raises(OtherArguments):
        vote(approvals, approval_id, "bob", arguments_hash=hash_of("delete_file", {"path": "/etc"}))


def test_two_persons_must_approve_the_same_arguments(approvals: Approvals) -> None:
    approval_id = asked(approvals, persons=2)
    original, changed = asking.request().arguments_hash, DELETES | {"keep_days": 30}
    edited = hash_of("delete_file", changed)
    vote(approvals, approval_id, "bob")
    vote(approvals, approval_id, "eve", arguments=changed)
    assert approvals.decision(approval_id, NOW) is None
    with pytest.raises(OtherArguments, match="2 versions"):
        vote(approvals, approval_id, "bob")
    vote(approvals, approval_id, "bob", arguments_hash=edited)
    decided = approvals.decision(approval_id, NOW)
    assert decided is not None
    assert (decided.arguments, set(decided.by)) == (changed, {"bob", "eve"})
    assert original != edited


def test_who_has_moved_to_a_changed_version_no_longer_approves_the_first(approvals: Approvals) -> None:
    approval_id = asked(approvals, persons=2)
    vote(approvals, approval_id, "bob")
    vote(approvals, approval_id, "bob", arguments=DELETES | {"keep_days": 30})
    vote(approvals, approval_id, "eve", arguments_hash=asking.request().arguments_hash)
    assert approvals.decision(approval_id, NOW) is None


def test_an_unknown_request_is_not_found(approvals: Approvals) -> None:
    for approval_id in ("0" * 16, "../../etc/passwd", "a/b", ""):
        with pytest.raises(NotFound):
            vote(approvals, approval_id, "bob")


def test_each_answer_is_told_also_when_it_is_refused(tmp_path: Path) -> None:
    told: list[tuple[str, str]] = []
    heard = asking.approvals(tmp_path, attempted=lambda _, answer, outcome: told.append((answer.by, outcome)))
    approval_id = asked(heard)
    with pytest.raises(OwnRequest):
        vote(heard, approval_id, "ann")
    vote(heard, approval_id, "bob")
    assert told == [("ann", "OWN_REQUEST"), ("bob", "counted")]
