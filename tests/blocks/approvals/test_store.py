"""Requests in the store: found again after a restart, answered by many at once, and looked after."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.approvals import Approval, ApprovalDecision, ApprovalRequest, Approvals
from blocks.approvals.refusals import ApprovalClosed, Forged, VotedAlready
from blocks.errors import C500Error
from blocks.store import LocalFiles
from tests.blocks.approvals import asking
from tests.blocks.approvals.asking import LATER, NOW, asked, vote
from tests.conftest import ROOT


@pytest.fixture
def files(tmp_path: Path) -> LocalFiles:
    return LocalFiles(tmp_path / "store")


@pytest.fixture
def approvals(files: LocalFiles) -> Approvals:
    return asking.approvals(files)


def pending(approvals: Approvals) -> list[str]:
    return [one.request.approval_id for one in approvals.pending()]


def test_asking_again_finds_the_first_question_with_its_time(approvals: Approvals) -> None:
    approval_id = asked(approvals)
    again = asking.request(asked_at=NOW + timedelta(minutes=30), expires_at=LATER, reason="in other words")
    found = approvals.ask(again).request
    assert found.approval_id == approval_id
    assert (found.asked_at, found.expires_at) == (NOW, NOW + timedelta(hours=1))


def test_a_later_flow_run_of_the_same_run_takes_over(approvals: Approvals) -> None:
    approval_id = asked(approvals, flow_run_id="first")
    vote(approvals, approval_id, "bob")
    assert approvals.ask(asking.request(flow_run_id="second")).request.flow_run_id == "second"
    assert approvals.decision(approval_id, NOW) is not None


def test_everything_is_found_again_by_another_process(approvals: Approvals, files: LocalFiles) -> None:
    approval_id = asked(approvals)
    program = (
        "import sys; from pathlib import Path; from tests.blocks.approvals import asking;"
        "asking.vote(asking.approvals(Path(sys.argv[1])), sys.argv[2], 'bob')"
    )
    subprocess.run([sys.executable, "-c", program, str(files.root), approval_id], check=True, cwd=ROOT)
    decided = asking.approvals(files).decision(approval_id, NOW)
    assert decided is not None and decided.by == ("bob",)


def test_pending_are_those_without_a_decision_oldest_first(approvals: Approvals) -> None:
    newer = asked(approvals, call_id="call_1", asked_at=NOW + timedelta(minutes=1))
    older = asked(approvals, call_id="call_2")
    decided = asked(approvals, call_id="call_3")
    vote(approvals, decided, "bob")
    assert pending(approvals) == [older, newer]
    assert [one.request.approval_id for one in approvals.untaken()] == [decided]
    assert len(approvals.every()) == 3


def test_listing_what_waits_reads_nothing_of_what_is_settled(approvals: Approvals, files: LocalFiles) -> None:
    for number in range(20):
        approval_id = asked(approvals, call_id=f"call_{number}")
        vote(approvals, approval_id, "bob")
        approvals.taken(approval_id)
        files.put_bytes(f"approvals/records/{approval_id}.json", b"would be reported as damaged")
    assert approvals.pending() == ()
    assert approvals.sweep(LATER).forged == ()


def test_a_sweep_denies_what_is_past_its_time_and_nothing_else(approvals: Approvals) -> None:
    late = asked(approvals, call_id="call_1")
    waiting = asked(approvals, call_id="call_2", expires_at=LATER + timedelta(hours=1))
    assert approvals.sweep(LATER).denied == (late,)
    assert approvals.sweep(LATER).denied == ()
    assert pending(approvals) == [waiting]
    decided = approvals.decision(late, NOW)
    assert decided is not None and not decided.approved


def test_a_sweep_forgets_what_no_run_came_back_for(approvals: Approvals) -> None:
    approval_id = asked(approvals)
    vote(approvals, approval_id, "bob")
    approvals.sweep(NOW + timedelta(hours=3))
    assert approvals.untaken() != ()
    approvals.sweep(NOW + timedelta(days=2))
    assert approvals.untaken() == ()
    assert approvals.read(approval_id).votes


def test_a_mark_without_a_record_harms_nothing(approvals: Approvals, files: LocalFiles) -> None:
    """A process died between the two."""
    files.put_bytes("approvals/open/0123456789abcdef", b"")
    assert approvals.pending() == ()
    assert approvals.sweep(NOW) == approvals.sweep(NOW)


def test_a_request_that_goes_while_a_sweep_looks_at_it_hides_no_other(
    approvals: Approvals, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone, late = sorted((asked(approvals), asked(approvals, call_id="call_2")))
    read = approvals.read

    def gone_meanwhile(approval_id: str) -> Approval:
        if approval_id == gone:
            approvals.taken(gone)
            approvals._records.remove(gone)
        return read(approval_id)

    monkeypatch.setattr(approvals, "read", gone_meanwhile)
    assert approvals.sweep(LATER).denied == (late,)


def test_of_many_who_answer_at_once_each_counts_once(approvals: Approvals) -> None:
    approval_id = asked(approvals, persons=2)

    def answer(number: int) -> str:
        try:
            vote(approvals, approval_id, f"person {number % 3}")
        except (VotedAlready, ApprovalClosed) as error:
            return error.code
        return "counted"

    with ThreadPoolExecutor(9) as pool:
        outcomes = list(pool.map(answer, range(9)))
    assert outcomes.count("counted") == 2
    decided = approvals.decision(approval_id, NOW)
    assert decided is not None and len(set(decided.by)) == 2


Step = st.tuples(
    st.sampled_from(["ann", "bob", "eve", "Bob"]),
    st.sampled_from(["approve", "deny"]),
    st.sampled_from([None, 1, 2]),
    st.sampled_from([None, "1", "2", "original"]),
    st.integers(0, 80),
)


@given(persons=st.sampled_from([1, 2]), steps=st.lists(Step, max_size=8))
def test_whatever_is_answered_approval_takes_enough_different_persons_in_time(
    persons: int, steps: list[tuple[str, str, int | None, str | None, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    approvals = asking.approvals(tmp_path_factory.mktemp("store"))
    request = asking.request(persons=persons)
    approval_id = approvals.ask(request).request.approval_id
    first: ApprovalDecision | None = None
    for by, verdict, changed, meant, minute in steps:
        arguments = None if changed is None else {"keep_days": changed}
        variants = dict(zip(["original", "1", "2"], approvals.read(approval_id).variants(), strict=False))
        with suppress(C500Error):
            vote(
                approvals, approval_id, by, verdict, now=NOW + timedelta(minutes=minute),
                arguments=arguments, arguments_hash=variants.get(meant or ""),
            )  # fmt: skip
        decided = approvals.decision(approval_id, NOW)
        assert first is None or decided == first, "a decision stands"
        first = decided
    check(request, first or approvals.decision(approval_id, LATER))


def check(request: ApprovalRequest, decided: ApprovalDecision | None) -> None:
    assert decided is not None
    people = {name.lower() for name in decided.by}
    assert "ann" not in people
    if decided.approved:
        assert len(people) >= request.persons
        assert decided.at < request.expires_at
        assert decided.edited == (decided.arguments != request.arguments)


def test_what_was_decided_long_ago_is_deleted_and_nothing_else(approvals: Approvals, files: LocalFiles) -> None:
    approved, denied, expired = (asked(approvals, call_id=f"call_{number}") for number in range(3))
    waiting = asked(approvals, call_id="call_3", expires_at=NOW + timedelta(days=99))
    vote(approvals, approved, "bob")
    vote(approvals, denied, "bob", "deny")
    assert approvals.decision(expired, NOW + timedelta(days=20)) is not None
    told: list[str] = []
    purged = approvals.purge(10 * 86_400, NOW + timedelta(days=11), also=told.append)
    assert set(purged.ids) == set(told) == {approved, denied}
    assert purged.size_bytes > 500
    assert {one.request.approval_id for one in approvals.every()} == {expired, waiting}
    assert approvals.purge(10 * 86_400, NOW + timedelta(days=11)).ids == ()
    assert {key.rsplit("/")[-1] for key in files.list("approvals/open/")} == {expired, waiting}


def test_evidence_of_forgery_is_not_deleted(approvals: Approvals, files: LocalFiles) -> None:
    forged, damaged = asked(approvals, call_id="call_1"), asked(approvals, call_id="call_2")
    vote(approvals, forged, "bob")
    key = f"approvals/records/{forged}.json"
    files.put_bytes(key, files.read_bytes(key).replace(b"bob", b"eve"))
    files.put_bytes(f"approvals/records/{damaged}.json", b"damaged")
    assert approvals.purge(0, LATER).ids == ()
    assert files.exists(key)


def test_votes_on_a_deleted_request_do_not_count_when_it_is_asked_anew(approvals: Approvals, files: LocalFiles) -> None:
    approval_id = asked(approvals)
    vote(approvals, approval_id, "bob")
    old = approvals.read(approval_id).votes
    approvals.purge(0, LATER)
    asked(approvals, asked_at=LATER, expires_at=LATER + timedelta(hours=1))
    asked_anew = approvals.read(approval_id)
    record = asked_anew.model_copy(update={"votes": old}).model_dump_json().encode()
    files.put_bytes(f"approvals/records/{approval_id}.json", record)
    with pytest.raises(Forged):
        approvals.decision(approval_id, LATER)
