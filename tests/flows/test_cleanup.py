"""The flows that clean, on a real Prefect server."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.runtime import flow_run

from blocks.errors import BadInput, Stopped
from blocks.runs.record import JOB_ID
from blocks.settings import settings
from blocks.store import open_store
from blocks.switches import FOLDER, Switch, open_switches
from flows.cleanup import CleanupIncomplete, clean_all, clean_audio, clean_cache, clean_logs, watch_disk
from tasks.ops.cleanup.bin import batches
from tasks.ops.cleanup.clock import BOOT_ID, ClockJumped, Witness, boot_time_s, witness_key
from tasks.ops.options import OperationsOptions
from tests.tasks.ops.cleanup.conftest import DAY_S, fill, make_file, mounted, names

pytestmark = pytest.mark.usefixtures("prefect_api")

UNATTENDED = OperationsOptions(attended=False)


@pytest.fixture
def logs() -> Path:
    """LOG_DIR with two old log files and a young one."""
    place = settings().log_dir
    make_file(place / "a.log")
    make_file(place / "web" / "b.log")
    make_file(place / "young.log", age_s=DAY_S)
    return place


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What operators are told."""
    messages: list[tuple[str, str]] = []

    async def post(subject: str, body: str) -> None:
        messages.append((subject, body))

    monkeypatch.setattr("flows.cleanup.post", post)
    return messages


def set_up(monkeypatch: pytest.MonkeyPatch, **environment: str) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    settings.cache_clear()


def old_logs(place: Path) -> set[str]:
    return names(place) & {"a.log", "web/b.log"}


async def artifact(key: str) -> str:
    async with get_client() as client:
        found = await client.read_artifacts(artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=[key])))
    return str(max(found, key=lambda one: str(one.created)).data)


async def test_nobody_needs_to_be_asked_for_what_retention_says(logs: Path) -> None:
    report = await clean_logs(UNATTENDED)
    (part,) = report.parts
    assert (part.status, part.counts["trashed"]) == ("done", 2)
    assert old_logs(logs) == set()
    assert len(batches(logs)) == 1
    assert "2 trashed" in await artifact("clean-logs")


@pytest.mark.parametrize("way", ["option", "DRY_RUN"])
async def test_a_dry_run_changes_nothing(logs: Path, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if way == "DRY_RUN":
        set_up(monkeypatch, DRY_RUN="true")
    report = await clean_logs(OperationsOptions(dry_run=way == "option"))
    assert report.dry_run
    assert report.parts[0].counts["to trash"] == 2
    assert old_logs(logs) == {"a.log", "web/b.log"}
    assert not (logs / ".trash").exists()


async def test_days_to_keep_are_those_of_the_settings(logs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_up(monkeypatch, DAYS_TO_KEEP="31")
    await clean_logs(UNATTENDED)
    assert old_logs(logs) == {"a.log", "web/b.log"}


async def test_what_cannot_be_cleaned_fails_the_run_and_stops_nothing_else(
    logs: Path, told: list[tuple[str, str]], tmp_path: Path
) -> None:
    make_file(settings().audio_dir / "jobs" / "done" / "result.json")
    make_file(settings().audio_dir / "jobs" / "done" / "audio.wav")
    (logs / ".trash").symlink_to(tmp_path)
    with pytest.raises(CleanupIncomplete, match="is a link") as caught:
        await clean_all(UNATTENDED)
    assert not (settings().audio_dir / "jobs" / "done" / "audio.wav").exists()
    assert caught.value.details["report"]["parts"]
    assert "not all could be cleaned" in told[0][0]


@flow(name="process-audio", persist_result=False)
async def a_run(job_id: str, fails: bool) -> None:
    """As a job's run leaves itself on the server."""
    async with get_client() as client:
        await client.update_flow_run_labels(UUID(str(flow_run.id)), {JOB_ID: job_id})
    if fails:
        raise BadInput("it fails", fix="none")


async def test_prefect_says_which_jobs_failed(told: list[tuple[str, str]]) -> None:
    place = settings().audio_dir / "jobs"
    for number, job_id in enumerate(("failed0000000001", "unknown000000001", "done000000000001")):
        make_file(place / job_id / "source.mp3", size_bytes=100 + number)
    make_file(place / "done000000000001" / "result.json")
    with pytest.raises(BadInput):
        await a_run("failed0000000001", fails=True)
    report = await clean_audio(UNATTENDED)
    assert report.parts[0].counts == {"trashed": 2, "job unknown": 1, "other": 1}
    assert {path.parent.name for path in place.rglob("source.mp3")} == {"unknown000000001"}


async def test_a_redis_that_is_not_there_is_told_and_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    set_up(monkeypatch, REDIS_URL="redis://127.0.0.1:1/0")
    open_store().put_bytes(
        "results/expired", b'{"metadata": {"expiration": "2026-01-01T00:00:00+00:00"}, "result": "1"}'
    )
    results, redis = (await clean_cache(UNATTENDED)).parts
    assert (results.counts, redis.status) == ({"deleted": 1}, "skipped")
    assert "does not answer" in redis.why
    assert not open_store().exists("results/expired")


async def test_the_cache_is_left_alone_where_told(logs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_up(monkeypatch, SKIP_CACHE="true")
    report = await clean_all(UNATTENDED)
    assert [(part.name, part.why) for part in report.parts if part.status == "skipped"][-1] == ("cache", "SKIP_CACHE")
    assert old_logs(logs) == set()


async def test_nothing_goes_after_the_clock_was_set_ahead_until_somebody_says_so(logs: Path) -> None:
    earlier = Witness(
        wall_s=datetime.now(UTC).timestamp() - 2 * DAY_S, boot_s=boot_time_s() - 60, boot_id=BOOT_ID.read_text().strip()
    )
    open_store().put_bytes(witness_key(), earlier.model_dump_json().encode())
    with pytest.raises(ClockJumped, match="set ahead"):
        await clean_logs(UNATTENDED)
    assert old_logs(logs) == {"a.log", "web/b.log"}
    await clean_logs(UNATTENDED, trust_clock=True)
    assert old_logs(logs) == set()
    await clean_logs(UNATTENDED)


async def test_a_stop_switch_stops_it(logs: Path) -> None:
    switches = open_switches("", settings().agents_home / FOLDER)
    switches.set(Switch(scope="agent", name="clean-logs", by="ann", at=datetime.now(UTC), reason="wait"))
    with pytest.raises(Stopped):
        await clean_logs(UNATTENDED)
    assert old_logs(logs) == {"a.log", "web/b.log"}


async def test_a_disk_below_the_threshold_is_left_alone(
    logs: Path, told: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    set_up(monkeypatch, DISK_THRESHOLD="100", EMERGENCY_CLEANUP="true")
    report = await watch_disk(UNATTENDED)
    assert (report.parts, told) == ((), [])
    assert old_logs(logs) == {"a.log", "web/b.log"}


@pytest.fixture
def full_logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """LOG_DIR on a small disk of its own that is full, with an old log file of 3 MB."""
    with mounted(tmp_path / "disk", "-t", "tmpfs", "-o", "size=4m", "none") as disk:
        set_up(monkeypatch, LOG_DIR=str(disk / "logs"), DISK_THRESHOLD="80")
        make_file(disk / "logs" / "a.log", size_bytes=3_000_000)
        fill(disk)
        # The disk of the tests themselves may be fuller than the threshold.
        monkeypatch.setattr("flows.cleanup.watched", lambda plan, chosen: (disk,))
        yield disk


async def test_a_full_disk_is_told_with_what_a_cleanup_would_free(full_logs: Path, told: list[tuple[str, str]]) -> None:
    report = await watch_disk(UNATTENDED)
    assert report.dry_run
    assert (full_logs / "logs" / "a.log").exists()
    ((subject, body),) = told
    assert subject == f"disk full: {full_logs} 100 %"
    assert "1 to trash" in body


async def test_in_an_emergency_it_is_cleaned_at_once(
    full_logs: Path, told: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    set_up(monkeypatch, EMERGENCY_CLEANUP="true")
    report = await watch_disk(UNATTENDED)
    assert report.freed_bytes >= 3_000_000
    assert [part.name for part in report.parts] == ["logs"]
    assert told[0][0].startswith("disk below the threshold again")


async def test_in_an_emergency_the_trash_goes_first(
    full_logs: Path, told: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    await clean_logs(UNATTENDED)
    assert batches(full_logs / "logs")
    set_up(monkeypatch, EMERGENCY_CLEANUP="true")
    report = await watch_disk(UNATTENDED)
    assert report.parts[0].name == "logs-trash"
    assert report.freed_bytes >= 3_000_000
    assert batches(full_logs / "logs") == ()
