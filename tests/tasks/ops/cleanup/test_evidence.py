"""Evidence goes by policy; what is younger, held or in use stays; killed anywhere, another run goes on."""

import json
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterState, FlowRunFilterStateType
from prefect.states import Cancelled, Completed, Running

from blocks.accounts.books import Entry as Call
from blocks.accounts.books import insert
from blocks.accounts.schema import open_engine
from blocks.audit import AuditLog, Entry, verify
from blocks.audit.key import open_key
from blocks.errors import StoreFailed
from blocks.iiagent.state import SessionState, sessions_folder, write_state
from blocks.redact import default_redactor
from blocks.rows.report import FOLDERS
from blocks.runs.queue import all_runs
from blocks.runs.record import JOB_ID, JOB_TAG
from blocks.settings import settings
from blocks.store import open_store
from blocks.store.files import Files
from blocks.subjects import Hold, Holds, Subject, Traces
from tasks.ops.cleanup.audio import OPEN, JobsKnown
from tasks.ops.cleanup.evidence import evidence_parts
from tasks.ops.cleanup.expiry import MARKS, Expiry, Mark
from tasks.ops.cleanup.report import Part, read_lines
from tests.tasks.ops.cleanup.conftest import DAY_S, MakeCleanup, aged

pytestmark = pytest.mark.usefixtures("prefect_api")

OLD_S = 100 * DAY_S
DAYS = {"RESULTS_DAYS": "30", "QUALITY_DAYS": "30", "BATCH_DAYS": "30", "SESSION_DAYS": "30"}


@pytest.fixture
def policy(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every kind goes after 30 days; the ledger after 40."""
    for name, value in (DAYS | {"LEDGER_DAYS": "40", "AUDIT_DAYS": "30"}).items():
        monkeypatch.setenv(name, value)
    settings.cache_clear()
    yield


@pytest.fixture(autouse=True)
async def nothing_at_work(prefect_api: str) -> None:
    """Other tests leave runs on the same server that never end, and jobs stay while one may work with them."""
    del prefect_api
    async with get_client() as client:
        wanted = FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=list(OPEN))))
        for run in [run async for run in all_runs(client, wanted)]:
            await client.set_flow_run_state(run.id, Cancelled(), force=True)


def put(key: str, content: str = "x", age_s: float = OLD_S) -> str:
    """A file of the store that was written so many seconds ago."""
    open_store().put_bytes(key, content.encode())
    aged(settings().audio_dir / key, age_s)
    return key


def job(job_id: str, age_s: float = OLD_S) -> None:
    for name in ("source.wav", "transcript.json", "result.json"):
        put(f"jobs/{job_id}/{name}", age_s=age_s)


async def run_of(job_id: str, *, running: bool) -> None:
    @flow(name="process-audio")
    def process() -> None: ...

    async with get_client() as client:
        run = await client.create_flow_run(process, tags=[JOB_TAG], state=Running() if running else Completed())
        await client.update_flow_run_labels(run.id, {JOB_ID: job_id})


def hold(kind: Any, name: str) -> None:
    held = Hold(subject=Subject(kind=kind, id=name), reason="case", by="ops", at=datetime.now(UTC))
    Holds(open_store()).put(held)


def jobs() -> set[str]:
    return {key.split("/")[1] for key in open_store().list("jobs/")}


def of(parts: list[Part], name: str) -> Part:
    return next(one for one in parts if one.name == name)


async def expired(make_cleanup: MakeCleanup, run_id: str, **facts: Any) -> list[Part]:
    return await evidence_parts(make_cleanup(run_id=run_id, **facts), settings())


async def test_nothing_goes_unless_somebody_says_how_long_it_is_kept(make_cleanup: MakeCleanup) -> None:
    job("a" * 16)
    (part,) = await expired(make_cleanup, "r1")
    assert part.status == "skipped"
    assert len(jobs()) == 1


@pytest.mark.usefixtures("policy")
async def test_a_job_is_marked_and_goes_with_the_next_run(make_cleanup: MakeCleanup) -> None:
    old, young, named = "a" * 16, "b" * 16, "results/transcribe-v1-x"
    job(old)
    job(young, age_s=DAY_S)
    put(named, json.dumps({"result": {"key": f"jobs/{old}/transcript.json", "sha256": "", "size_bytes": 1}}))
    put("results/other-v1-y", "{}")
    (first,) = [one for one in await expired(make_cleanup, "r1") if one.name == "jobs"]
    assert first.counts == {"expiring": 1, "young": 1}
    assert jobs() == {old, young}
    assert list(open_store().list("results/")) == ["results/other-v1-y"]  # no new run begins to work with its files
    (second,) = [one for one in await expired(make_cleanup, "r2") if one.name == "jobs"]
    assert second.counts["deleted"] == 1
    assert jobs() == {young}
    assert list(open_store().list(f"{MARKS}/")) == []


@pytest.mark.usefixtures("policy")
async def test_a_dry_run_lists_what_would_go_and_changes_nothing(make_cleanup: MakeCleanup) -> None:
    job("a" * 16)
    put("quality/history/jobs/2026-01-01.jsonl")
    before = sorted(open_store().list("jobs/"))
    parts = await expired(make_cleanup, "r1", dry_run=True)
    told = of(parts, "jobs")
    assert (told.status, told.counts) == ("planned", {"to delete": 1})
    assert [one["path"] for one in read_lines(open_store(), str(told.report))] == [f"jobs/{'a' * 16}"]
    assert of(parts, "quality").counts == {"to delete": 1}
    assert sorted(open_store().list("jobs/")) == before
    assert open_store().exists("quality/history/jobs/2026-01-01.jsonl")


@pytest.mark.usefixtures("policy")
async def test_a_file_goes_alone_though_the_name_of_another_begins_alike(make_cleanup: MakeCleanup) -> None:
    put("quality/history/jobs/2026-01-01.jsonl")
    young = put("quality/history/jobs/2026-01-01.jsonl.copy", age_s=DAY_S)
    assert of(await expired(make_cleanup, "r1"), "quality").counts == {"deleted": 1, "young": 1}
    assert list(open_store().list("quality/")) == [young]


@pytest.mark.usefixtures("policy")
async def test_a_job_at_work_or_on_hold_stays(make_cleanup: MakeCleanup) -> None:
    held, busy, over = "c" * 16, "d" * 16, "e" * 16
    for one in (held, busy, over):
        job(one)
    await run_of(busy, running=True)
    hold("job", held)
    for run_id in ("r1", "r2"):
        await expired(make_cleanup, run_id)
    assert jobs() >= {held, busy}
    Holds(open_store()).release(Subject(kind="job", id=held))
    counts = of(await expired(make_cleanup, "r3"), "jobs").counts
    assert counts["expiring"] == 1


def expiry(files: Files, **facts: Any) -> Expiry:
    now = datetime.now(UTC)
    given: dict[str, Any] = {
        "known": JobsKnown(open=frozenset(), failed=frozenset()),
        "oldest_run": None,
        "before": now - timedelta(days=30),
        "now": now,
        "held": (),
    } | facts
    return Expiry(files, **given)


def due(one: Expiry) -> list[dict[str, Any]]:
    return [line for line in one.lines() if line["status"] == "planned"]


def test_a_run_that_had_begun_before_the_mark_keeps_the_files_it_may_work_with() -> None:
    files = open_store()
    job("f" * 16)
    first = expiry(files)
    assert [line["status"] for line in first.perform(due(first))] == ["expiring"]
    earlier = expiry(files, oldest_run=first.now - timedelta(hours=1))
    assert [line["why"] for line in earlier.lines()] == ["work in hand"]
    later = expiry(files, oldest_run=first.now + timedelta(hours=1))
    assert [line["status"] for line in later.perform(due(later))] == ["deleted"]
    assert jobs() == set()


def test_a_job_that_was_processed_again_begins_anew() -> None:
    files = open_store()
    job("f" * 16)
    first = expiry(files)
    list(first.perform(due(first)))
    planned = due(expiry(files))
    put(f"jobs/{'f' * 16}/result.json", age_s=0)
    assert [line["status"] for line in expiry(files).perform(planned)] == ["kept"]
    assert list(files.list(f"{MARKS}/")) == []
    assert jobs() == {"f" * 16}


def test_killed_at_any_file_a_job_is_taken_away_wholly_by_the_next_run() -> None:
    files = open_store()
    for kill in range(1, 8):
        job("f" * 16)
        first = expiry(files)
        list(first.perform(due(first)))
        if not (child := os.fork()):
            _killed_at(kill)
        os.waitpid(child, 0)
        left = set(files.list("jobs/"))
        if left and f"jobs/{'f' * 16}/result.json" not in left:
            assert list(files.list(f"{MARKS}/")), "what is left of it is not known any more"
        after = expiry(files)
        list(after.perform(due(after)))
        assert set(files.list("jobs/")) == set()
        assert list(files.list(f"{MARKS}/")) == []


def _killed_at(kill: int) -> None:
    files, left = open_store(), kill

    def die(event: str, _: object) -> None:
        nonlocal left
        if event in ("os.remove", "os.rename"):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), 9)

    import sys

    sys.addaudithook(die)
    one = expiry(files)
    list(one.perform(due(one)))
    os._exit(0)


@pytest.mark.usefixtures("policy")
async def test_audits_batches_and_requests_go_by_age(make_cleanup: MakeCleanup) -> None:
    held_job = "a1b2c3d4e5f60718"
    gone = [put("batches/b1/report.json"), put("dispatches/d1/result.json"), put("reports/day.html")]
    kept = [
        put("batches/b2/report.csv"),
        put("batches/b2/report.json", age_s=DAY_S),
        put("quality/history/jobs/1.jsonl", json.dumps({"job": held_job})),
    ]
    gone += [put("evaluations/scores/1.json"), put("quality/docs/2026.html")]
    gone += [put(f"{folder}/a/report.json") for folder in FOLDERS.values()]
    kept += [put("swarms/b/report.json", json.dumps({"names": [held_job]}))]
    hold("job", held_job)
    await expired(make_cleanup, "r1")
    left = set(open_store().list())
    assert left >= set(kept)
    assert left.isdisjoint(gone)


@pytest.mark.usefixtures("policy")
async def test_nothing_goes_when_it_is_not_known_what_is_held(make_cleanup: MakeCleanup) -> None:
    put("batches/b1/report.json")
    put("personal-data/holds/job-1.json", "damaged")
    with pytest.raises(StoreFailed, match="damaged"):
        await expired(make_cleanup, "r1")
    assert open_store().exists("batches/b1/report.json")


@pytest.mark.usefixtures("policy")
async def test_archives_of_sessions_go_unless_they_are_at_work(make_cleanup: MakeCleanup) -> None:
    now = datetime.now(UTC)
    for name, status in (("old", "IDLE"), ("busy", "RUNNING"), ("held", "IDLE"), ("young", "IDLE")):
        folder = sessions_folder() / name
        state = SessionState(server="s", device_id="d", model_key="m", status=status, created_at=now, updated_at=now)  # pyright: ignore[reportArgumentType]
        write_state(folder, state)
        (folder / "events.jsonl.gz").write_bytes(b"x")
        for path in folder.iterdir() if name != "young" else ():
            aged(path, OLD_S)
    hold("job", "held")
    part = of(await expired(make_cleanup, "r1"), "sessions")
    assert part.counts == {"deleted": 1, "at work": 1, "held": 1, "young": 1}
    assert {path.name for path in sessions_folder().iterdir()} >= {"busy", "held", "young"}
    assert not (sessions_folder() / "old").exists()


@pytest.mark.usefixtures("policy")
async def test_the_ledger_is_summed_up_and_the_audit_shortened(make_cleanup: MakeCleanup) -> None:
    engine = open_engine(settings().books_url)
    call = Call(at=time.time() - OLD_S, account="a", model="m", user="ann", outcome="ok")
    with engine.begin() as connection:
        insert(connection, [call, call, replace(call, user="bob"), replace(call, at=time.time())])
    engine.dispose()
    home = settings().agents_home
    log = old_audit(home)
    hold("person", "bob")
    parts = await expired(make_cleanup, "r1")
    assert of(parts, "ledger").counts == {"deleted": 1, "held": 1}
    assert of(parts, "audit").counts["deleted"] == 1
    verdict = verify(home / "audit", log)
    assert (verdict.ok, verdict.since) == (True, 2)


def old_audit(home: Path) -> bytes:
    """An audit log with two records of long ago, and one of bob a day later."""
    key = open_key(home / "audit.key")
    clock = iter(datetime.now(UTC) - timedelta(days=days) for days in (90, 90, 89, 88))
    log = AuditLog(home / "audit", key, default_redactor(), clock=lambda: next(clock))
    for number, user in enumerate(("ann", "ann", "bob", "ann")):
        log.append(Entry(entry_id=str(number), run_id=f"r{number}", agent="a", user=user, phase="decided"))
    return key


def test_what_is_left_of_a_job_half_deleted_stays_while_it_is_held() -> None:
    files, job_id = open_store(), "f" * 16
    job(job_id)
    files.put_bytes(f"{MARKS}/{job_id}.json", Mark(at=datetime.now(UTC), deleting=True).model_dump_json().encode())
    hold("job", job_id)
    held = expiry(files, held=(Traces(subject=Subject(kind="job", id=job_id), jobs=(job_id,)),))
    planned = due(expiry(files))
    assert [line["why"] for line in held.lines()] == ["held"]
    assert [line["status"] for line in held.perform(planned)] == ["kept"]
    assert jobs() == {job_id}
    list(expiry(files).perform(planned))  # released: it goes on
    assert jobs() == set()


def test_the_mark_of_a_job_that_is_gone_goes() -> None:
    files = open_store()
    files.put_bytes(f"{MARKS}/{'f' * 16}.json", Mark(at=datetime.now(UTC)).model_dump_json().encode())
    one = expiry(files)
    list(one.perform(due(one)))
    assert list(files.list(f"{MARKS}/")) == []


@pytest.mark.usefixtures("policy")
async def test_pages_of_what_is_held_stay(make_cleanup: MakeCleanup) -> None:
    held_job = "a1b2c3d4e5f60718"
    kept = [put("evaluations/e1/evaluation.json", json.dumps({"scores": [{"job_id": held_job}]}))]
    kept += [put("evaluations/e1/report.html", "words of it"), put("reports/day/1/report.md", "| bob |")]
    kept += [put("reports/day/1/report.json", json.dumps({"rows": [["bob", 1]]}))]
    gone = put("evaluations/e2/report.html", "words of others")
    hold("job", held_job)
    hold("person", "bob")
    await expired(make_cleanup, "r1")
    left = set(open_store().list())
    assert left >= set(kept)
    assert gone not in left
