"""Records that somebody else put into the store, or changed there."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from blocks.action import hash_of
from blocks.approvals import Approvals
from blocks.approvals.records import Damaged
from blocks.approvals.refusals import Forged
from blocks.approvals.seal import Seal
from blocks.errors import BadInput, Conflict
from blocks.store import LocalFiles
from tests.blocks.approvals import asking
from tests.blocks.approvals.asking import DELETES, LATER, NOW, asked, vote

Record = dict[str, Any]


@pytest.fixture
def files(tmp_path: Path) -> LocalFiles:
    return LocalFiles(tmp_path)


@pytest.fixture
def approvals(files: LocalFiles) -> Approvals:
    return asking.approvals(files)


def rewrite(files: LocalFiles, approval_id: str, change: Callable[[Record], None]) -> None:
    """Do what somebody does who can write to the store and has no key."""
    key = f"approvals/records/{approval_id}.json"
    record = json.loads(files.read_bytes(key))
    change(record)
    files.put_bytes(key, json.dumps(record).encode())


def a_vote(approval_id: str, **facts: Any) -> Record:
    """A vote with a seal of another key."""
    other = asking.Approvals(LocalFiles(Path("elsewhere")), b"x" * 32)
    other.ask(asking.request())
    made = vote(other, approval_id, "bob").votes[0].model_dump(mode="json")
    return made | facts


def test_a_vote_without_our_seal_is_no_vote(files: LocalFiles, approvals: Approvals) -> None:
    approval_id = asked(approvals)
    rewrite(files, approval_id, lambda record: record["votes"].append(a_vote(approval_id)))
    with pytest.raises(Forged):
        approvals.decision(approval_id, NOW)
    with pytest.raises(Forged):
        vote(approvals, approval_id, "eve")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("by", "eve"),
        ("verdict", "deny"),
        ("arguments_hash", hash_of("delete_file", {"path": "/"})),
        ("arguments", {"path": "/"}),
        ("reason", "fine"),
        ("at", (NOW - timedelta(days=1)).isoformat()),
        ("channel", "prefect"),
        ("seal", "00" * 32),
    ],
)
def test_no_field_of_a_vote_can_be_changed(files: LocalFiles, approvals: Approvals, field: str, value: Any) -> None:
    approval_id = asked(approvals, persons=2)
    vote(approvals, approval_id, "bob")
    rewrite(files, approval_id, lambda record: record["votes"][0].update({field: value}))
    with pytest.raises(Forged):
        approvals.decision(approval_id, NOW)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("persons", 1),
        ("requester", "nobody"),
        ("arguments", {"path": "/"}),
        ("arguments_hash", hash_of("delete_file", {"path": "/"})),
        ("risk", "low"),
        ("tool", "read_file"),
        ("expires_at", (LATER + timedelta(days=9)).isoformat()),
    ],
)
def test_no_field_of_a_request_can_be_changed(files: LocalFiles, approvals: Approvals, field: str, value: Any) -> None:
    approval_id = asked(approvals, persons=2)
    vote(approvals, approval_id, "bob")
    rewrite(files, approval_id, lambda record: record["request"].update({field: value}))
    with pytest.raises(Forged):
        approvals.decision(approval_id, NOW)


def test_a_vote_cannot_be_moved_to_another_request(files: LocalFiles, approvals: Approvals) -> None:
    first, second = asked(approvals, call_id="call_1"), asked(approvals, call_id="call_2")
    moved = vote(approvals, first, "bob").votes[0].model_dump(mode="json")
    for name in (first, second):
        rewrite(files, second, lambda record, name=name: record.update(votes=[moved | {"approval_id": name}]))
        with pytest.raises(Forged):
            approvals.decision(second, NOW)


def test_a_vote_that_is_repeated_in_the_store_counts_once(files: LocalFiles, approvals: Approvals) -> None:
    approval_id = asked(approvals, persons=2)
    vote(approvals, approval_id, "bob")
    rewrite(files, approval_id, lambda record: record["votes"].append(record["votes"][0]))
    assert approvals.decision(approval_id, NOW) is None


def test_a_record_cannot_be_moved_to_another_id(files: LocalFiles, approvals: Approvals) -> None:
    approved, waiting = asked(approvals, call_id="call_1"), asked(approvals, call_id="call_2")
    vote(approvals, approved, "bob")
    files.put_bytes(f"approvals/records/{waiting}.json", files.read_bytes(f"approvals/records/{approved}.json"))
    with pytest.raises(Forged):
        approvals.decision(waiting, NOW)


def test_an_end_of_time_cannot_be_made_up(files: LocalFiles, approvals: Approvals) -> None:
    approval_id = asked(approvals)
    rewrite(files, approval_id, lambda record: record.update(expiry={"at": NOW.isoformat(), "seal": "00" * 32}))
    with pytest.raises(Forged):
        approvals.decision(approval_id, NOW)


def test_a_vote_of_who_asks_does_not_count_even_with_our_seal(files: LocalFiles, approvals: Approvals) -> None:
    """As one of an older version, whose rules were others, would be; that the seal fits shows the vote of eve."""
    approval_id = asked(approvals)
    made = vote(approvals, approval_id, "bob").votes[0]

    def resealed(by: str) -> None:
        facts = made.model_copy(update={"by": by}).model_dump(mode="json", exclude={"seal", "arguments"})
        seal = Seal(asking.KEY).of("vote", facts, approval_id, asking.request().expires_at.isoformat())
        rewrite(files, approval_id, lambda record: record["votes"][0].update(by=by, seal=seal))

    resealed("eve")
    decided = approvals.decision(approval_id, NOW)
    assert decided is not None and decided.by == ("eve",)
    resealed("Ann")
    with pytest.raises(Forged):
        approvals.decision(approval_id, NOW)


@pytest.mark.parametrize("content", [b"", b"{}", b"no JSON", b'{"request": 1, "seal": ""}'])
def test_a_damaged_record_hides_no_other_and_decides_nothing(
    files: LocalFiles, approvals: Approvals, content: bytes
) -> None:
    broken, good = asked(approvals, call_id="call_1"), asked(approvals, call_id="call_2")
    files.put_bytes(f"approvals/records/{broken}.json", content)
    assert [one.request.approval_id for one in approvals.pending()] == [good]
    assert approvals.sweep(NOW).forged == (broken,)
    with pytest.raises(Damaged):
        approvals.decision(broken, NOW)


def test_another_question_under_the_same_id_is_refused(approvals: Approvals) -> None:
    approval_id = asked(approvals)
    other = asking.request(arguments={"path": "/"}, approval_id=approval_id)
    with pytest.raises(Conflict):
        approvals.ask(other)
    assert approvals.read(approval_id).request.arguments == DELETES


def test_a_short_key_is_refused() -> None:
    with pytest.raises(BadInput):
        Seal(b"short")
