"""The sweeper: what is past its time is denied, and whoever is to be told by now is told."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from blocks.approvals import Approvals, open_approvals
from blocks.reviews import Proposal, open_reviews
from blocks.settings import settings
from blocks.store import open_store
from flows.approvals import sweep_approvals
from tests.blocks.escalation.listening import Inbox, inbox
from tests.flows.run_approval import request


@pytest.fixture
def approvals(prefect_api: str) -> Approvals:
    return open_approvals()


@pytest.fixture
def mail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Inbox]:
    """Where the messages of the chain go."""
    with inbox() as found:
        chain = tmp_path / "escalation.yaml"
        chain.write_text(
            f"levels:\n  - {{name: on-call, channels: ['{found.url}'], acknowledge_within_s: 600}}\n", encoding="utf-8"
        )
        monkeypatch.setenv("ESCALATION_FILE", str(chain))
        monkeypatch.setenv("SECRET_API_KEY", "a-secret-that-no-message-may-hold-1234")
        settings.cache_clear()
        yield found


PAST = datetime.now(UTC) - timedelta(hours=2)


async def test_what_is_past_its_time_is_denied(approvals: Approvals) -> None:
    late = request(call_id="call_1", asked_at=PAST, expires_at=PAST + timedelta(hours=1))
    approvals.ask(late)
    approvals.ask(request(call_id="call_2"))
    old = Proposal.of(
        kind="email", title="Reminder", content="Hello.", proposer="writer", run_id="run", call_id="call",
        proposed_at=PAST, expires_at=PAST + timedelta(hours=1),
    )  # fmt: skip
    open_reviews().propose(old)
    report = await sweep_approvals()
    assert (report.denied, report.expired, report.told) == ((late.approval_id,), (old.review_id,), ())
    assert len(approvals.pending()) == 1


async def test_people_are_told_once_of_what_waits_and_never_a_secret(approvals: Approvals, mail: Inbox) -> None:
    approvals.ask(request(arguments={"header": "a-secret-that-no-message-may-hold-1234"}))
    first, second = await sweep_approvals(), await sweep_approvals()
    assert first.told == (request(arguments={"header": "a-secret-that-no-message-may-hold-1234"}).approval_id,)
    assert second.denied == ()
    assert len(mail.messages) == 1
    assert "a-secret" not in str(mail.messages)


async def test_a_request_that_cannot_be_told_of_stops_no_other(approvals: Approvals, mail: Inbox) -> None:
    broken, good = request(call_id="call_1"), request(call_id="call_2")
    approvals.ask(broken)
    approvals.ask(good)
    open_store().put_bytes(f"escalations/records/{broken.approval_id}.json", b"damaged")
    assert (await sweep_approvals()).told == (good.approval_id,)
