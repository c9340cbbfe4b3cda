"""The audit of a period as a flow, on a real Prefect server."""

import asyncio
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prefect import State, flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.events.filters import EventFilter, EventNameFilter
from prefect.events.worker import EventsWorker
from prefect.flow_engine import run_flow_async
from prefect.states import Completed, Failed, Running, Scheduled

from blocks.errors import BadInput
from blocks.runs.record import JOB_ID
from blocks.settings import settings
from blocks.store import open_store
from flows.quality_audit import audit_quality
from tasks.ops.options import OperationsOptions
from tasks.quality.audit.excused import jobs_excused
from tasks.quality.audit.judged import AuditReport
from tasks.quality.audit.period import Period
from tasks.quality.audit.tell import FAILED
from tests.fakes.operators import operators
from tests.fakes.stored_jobs import ACCOUNTS, DAY, double_cost, fill
from tests.tasks.quality.audit.auditing import day_of

pytestmark = pytest.mark.usefixtures("prefect_api")

OPTIONS = OperationsOptions(attended=False, run_id="audit-1")
MONDAY = day_of(DAY)
FAILED_JOB, DONE_JOB, LOST_JOB = "00000000000000fa", "0000000000000d0e", "000000000000105f"


@pytest.fixture
def twice_paid(tmp_path: Path) -> None:
    """A day of jobs of which some say that they cost twice what they did."""
    (tmp_path / "accounts.yaml").write_text(ACCOUNTS)
    fill(open_store(), 7, 10, fault=double_cost, share=0.5)


@pytest.mark.usefixtures("twice_paid")
async def test_failures_are_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with operators(tmp_path) as (listening, channels):
        monkeypatch.setenv("OPERATIONS_CHANNELS_FILE", str(channels))
        settings.cache_clear()
        report = await audit_quality(MONDAY, options=OPTIONS)
        assert (report.verdict, [one.name for one in report.bad]) == ("failed", ["jobs/doubled-cost"])
        assert report.posted == "given to the operators' channels"
        again = await audit_quality(MONDAY, options=OPTIONS)
        assert (again.posted, again.period.failed) == ("", report.period.failed)
        assert len(listening.messages) == 1
    assert {"index.html", "2026-03-02.html"} == {key.rsplit("/", 1)[1] for key in open_store().list("quality/docs/")}
    await asyncio.to_thread(EventsWorker.drain_all)
    async with get_client() as client:
        wanted = ArtifactFilter(key=ArtifactFilterKey(any_=["quality-audit-1"]))
        shown = await client.read_artifacts(artifact_filter=wanted)
        assert "jobs/doubled-cost" in str(shown[-1].data)

        events, told = list[Any](), EventFilter(event=EventNameFilter(name=[FAILED]))
        async with asyncio.timeout(60):
            while not events:
                # Other tests' audits tell the same server.
                found = (await client.read_events(told, limit=50)).events
                events = [one for one in found if one.payload["page"] == report.page]
        assert [one.resource.id for one in events] == ["c500.quality.jobs.doubled-cost"]
        assert events[0].payload["period"] == "2026-03-02"


@pytest.mark.usefixtures("twice_paid")
async def test_a_run_that_was_due_while_the_service_was_down_audits_the_day_that_it_was_to() -> None:
    due = Scheduled(scheduled_time=MONDAY.until + timedelta(hours=5))
    async with get_client() as client:
        late = await client.create_flow_run(audit_quality, parameters={"options": OPTIONS}, state=due)
    report = await run_flow_async(audit_quality, flow_run=late, parameters={"options": OPTIONS})
    assert isinstance(report, AuditReport) and (report.period.name, report.period.jobs) == (MONDAY.name, 10)
    async with get_client() as client:
        assert (await client.read_flow_run(late.id)).name == MONDAY.name


@pytest.mark.usefixtures("twice_paid")
async def test_a_dry_run_keeps_nothing() -> None:
    report = await audit_quality(MONDAY, options=OPTIONS.model_copy(update={"dry_run": True}))
    assert (report.verdict, report.dry_run, report.page) == ("failed", True, "")
    assert list(open_store().list("quality/")) == []


async def test_a_suite_that_is_wrong_ends_it_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own.yaml").write_text("suite: jobs\nexpectations:\n  - {id: own}\n")
    monkeypatch.setenv("QUALITY_SUITES_DIR", str(tmp_path))
    settings.cache_clear()
    with pytest.raises(BadInput, match=r"own\.yaml:3: "):
        await audit_quality(MONDAY, options=OPTIONS)


async def test_jobs_without_a_result_are_excused_by_what_prefect_knows() -> None:
    """A job that failed is told elsewhere; one of which nobody knows why it has no result was lost."""
    assert await jobs_excused(MONDAY) is None, "the server knows no run of that day"
    now = datetime.now(UTC)
    period = Period(since=now - timedelta(days=3), until=now)
    begun = (now - timedelta(days=2)).timestamp()
    for job_id in (FAILED_JOB, LOST_JOB):
        open_store().put_bytes(f"jobs/{job_id}/source.wav", b"a recording")
        os.utime(settings().audio_dir / "jobs" / job_id / "source.wav", (begun, begun))
    await run_of(FAILED_JOB, Failed())
    await run_of(DONE_JOB, Completed())
    excused = await jobs_excused(period)
    assert excused is not None
    assert {FAILED_JOB, DONE_JOB} & excused == {FAILED_JOB}
    report = await audit_quality(period, options=OPTIONS)
    assert report.lost == (LOST_JOB,)
    assert "period/lost-jobs" in report.period.failed


async def run_of(job_id: str, end: State) -> None:
    """A run of a job that ended now."""

    @flow(name="process-audio")
    def nothing() -> None: ...

    async with get_client() as client:
        run = await client.create_flow_run(nothing)
        await client.update_flow_run_labels(run.id, {JOB_ID: job_id})
        for state in (Running(), end):
            await client.set_flow_run_state(run.id, state, force=True)
