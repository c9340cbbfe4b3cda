"""The nightly sweep: what nobody needs is taken away, what is in doubt is told, what fails stops nothing else."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.client.schemas.sorting import ArtifactSort

from blocks.approvals import open_approvals
from blocks.effects import EffectLedger
from blocks.errors import Conflict
from blocks.escalation import Escalations
from blocks.reviews import Proposal, open_reviews
from blocks.settings import settings
from blocks.store import open_store
from blocks.store.scratch import locked
from blocks.subjects import Hold, Holds, Subject
from blocks.trash import Trash
from blocks.workspace import Workspace
from flows.agent_housekeeping import ARTIFACT, SHOWN, SweepIncomplete, SweepReport, page, sweep_agents
from tasks.agents.disused import Gone
from tasks.agents.retired import retired
from tests.flows.run_approval import request
from tests.tasks.agents.left_behind import LeftBehind
from tests.tasks.agents.test_sweep import happens, killed

OLD, NEW = "a" * 16, "b" * 16
ANSWERED = datetime.now(UTC) - timedelta(days=31)


@pytest.fixture
def left(tmp_path: Path, prefect_api: str, monkeypatch: pytest.MonkeyPatch) -> LeftBehind:
    """A home with a run that is long over and one of yesterday; the trash keeps nothing."""
    monkeypatch.setenv("TRASH_DAYS", "0")
    settings.cache_clear()
    found = LeftBehind.at(tmp_path)
    found.now = datetime.now(UTC)
    found.run(OLD, begun=40, ended=31)
    found.run(NEW, begun=2, ended=1)
    return found


def answered_long_ago() -> str:
    """A request and a proposal of a month ago; the id of the request, of which people were told."""
    approvals, asked = open_approvals(), request(asked_at=ANSWERED, expires_at=ANSWERED + timedelta(hours=1))
    Escalations(open_store()).acknowledge(approvals.ask(asked), by="bob", now=ANSWERED)
    approvals.vote(asked.approval_id, by="bob", verdict="approve", channel="cli", now=ANSWERED)
    mail = Proposal.of(
        kind="email", title="Reminder", content="Hello.", proposer="writer", run_id=OLD, call_id="call",
        proposed_at=ANSWERED, expires_at=ANSWERED + timedelta(hours=1),
    )  # fmt: skip
    open_reviews().propose(mail)
    open_reviews().approve(mail.review_id, by="bob", seen=mail.content_hash, now=ANSWERED)
    return asked.approval_id


async def shown() -> str:
    """The latest page of a sweep in the Prefect UI."""
    async with get_client() as client:
        key = ArtifactFilter(key=ArtifactFilterKey(any_=[ARTIFACT]))
        return str((await client.read_artifacts(artifact_filter=key, sort=ArtifactSort.CREATED_DESC))[0].data)


async def test_a_sweep_takes_away_what_is_old_and_tells_what_is_in_doubt(left: LeftBehind) -> None:
    approval_id = answered_long_ago()
    Trash(left.home / "trash").put(Workspace(left.home / "workspaces" / NEW), "made.txt")
    ledger = EffectLedger(left.home / "effects")
    await ledger.once(f"{NEW}/1", happens)
    await killed(ledger, f"{NEW}/2")

    first, second = await sweep_agents(), await sweep_agents()

    assert {name: part.count for name, part in first.gone.items()} == {
        "trash": 1, "runs retired": 1, "results": 1, "decisions": 1, "workspaces": 1, "effects": 0, "approvals": 1,
        "reviews": 1,
    }  # fmt: skip
    assert first.in_doubt == second.in_doubt == (f"{NEW}/2",)
    # What was moved to the trash tonight is purged by the next sweep, since it keeps nothing here
    assert {name for name, part in second.gone.items() if part.count} == {"trash"}
    assert left.has("results") == left.has("runs") == left.has("workspaces") == {NEW}
    assert [key for key in open_store().list() if approval_id in key] == []
    assert "| trash | 1 | 4 |" in await shown()
    assert f"`{NEW}/2`" in await shown()


async def test_a_part_that_fails_stops_no_other_and_fails_the_run(left: LeftBehind) -> None:
    ledger = EffectLedger(left.home / "effects")
    await ledger.once(f"{NEW}/1", happens)
    [record] = (left.home / "effects").glob("??/??/*.json")
    record.write_text("damaged")
    (left.home / "results").rename(left.home / "elsewhere")
    (left.home / "results").symlink_to(left.home / "elsewhere")
    with pytest.raises(SweepIncomplete) as caught:
        await sweep_agents()
    assert caught.value.details == {"troubles": 3}
    assert left.has("runs") == left.has("workspaces") == {NEW}
    assert left.has("elsewhere") == {OLD, NEW}
    told = await shown()
    assert "results: " in told
    assert "effects: " in told


async def test_where_no_agent_ever_ran_nothing_is_made(prefect_api: str) -> None:
    assert await sweep_agents() == SweepReport()
    assert not settings().agents_home.exists()


async def test_two_sweeps_do_not_get_in_each_others_way(left: LeftBehind) -> None:
    with locked(left.home / ".sweep.lock", wait=False) as alone:
        assert alone
        with pytest.raises(Conflict, match="another sweep"):
            await sweep_agents()
    assert left.has("results") == {OLD, NEW}


async def test_effects_days_shorter_than_the_retention_of_runs_retires_runs_earlier(
    left: LeftBehind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a run did may be forgotten by then; so it must not go on. Its workspace still has its time."""
    monkeypatch.setenv("EFFECTS_DAYS", "5")
    monkeypatch.setenv("RUN_RETENTION_DAYS", "60")
    settings.cache_clear()
    assert (await sweep_agents()).gone["runs retired"].count == 1
    assert left.has("results") == {NEW}
    assert left.has("workspaces") == {OLD, NEW}


def test_the_page_of_a_sweep_is_short_and_nothing_in_it_breaks_out() -> None:
    gone = Gone(count=1, size_bytes=1234, troubles=("`x`\n# big",))
    doubts = tuple(f"run/{number}" for number in range(SHOWN + 7))
    told = page(SweepReport(gone={"trash": gone}, in_doubt=doubts))
    assert "| trash | 1 | 1,234 |" in told
    assert "- … 7 more" in told
    assert "- `trash: x # big`" in told


async def test_what_is_on_legal_hold_stays(left: LeftBehind) -> None:
    asked = answered_long_ago()
    held = Hold(subject=Subject(kind="job", id=OLD), reason="case 7", by="ops", at=datetime.now(UTC))
    Holds(open_store()).put(held)
    before = {path for path in left.home.rglob("*") if OLD in str(path)}
    await sweep_agents()
    assert retired(open_store(), OLD) is None
    assert {path for path in left.home.rglob("*") if OLD in str(path)} >= before
    assert len(list(open_store().list("reviews/records/"))) == 1
    Holds(open_store()).release(held.subject)
    await sweep_agents()
    assert retired(open_store(), OLD) is not None
    assert not open_store().exists(f"approvals/records/{asked}.json")
    assert list(open_store().list("reviews/records/")) == []
