"""Audio goes of jobs that finished or failed, and of no others."""

from pathlib import Path

import pytest

from blocks.store import open_store
from blocks.store.local import LocalFiles
from tasks.ops.cleanup.audio import JobsKnown, audio_hold, audio_tree
from tasks.ops.cleanup.report import Part
from tasks.ops.cleanup.rules import Retention
from tests.tasks.ops.cleanup.conftest import DAY_S, MakeCleanup, make_file, names

RETENTION = Retention(trash_days=0)


@pytest.fixture
def store() -> Path:
    files = open_store()
    assert isinstance(files, LocalFiles)
    return files.root


def make_job(store: Path, job_id: str, *, age_s: float = 30 * DAY_S, result: bool = True, length: int = 0) -> None:
    """A job as it lies in the store; each recording has a length of its own unless told otherwise."""
    folder = store / "jobs" / job_id
    made = ["source.mp3", "audio.wav", "recognised.json", "transcript.json", *(["result.json"] if result else [])]
    for name in made:
        size_bytes = (length or len(list(store.glob("jobs/*"))) * 1000 + 1) if name == "source.mp3" else 10
        make_file(folder / name, age_s=age_s, size_bytes=size_bytes)


async def clean(make_cleanup: MakeCleanup, store: Path, **known: frozenset[str]) -> Part:
    cleanup = make_cleanup()
    jobs = JobsKnown.model_validate({"open": frozenset(), "failed": frozenset()} | known)
    young_ns = cleanup.clock.now_ns - 7 * DAY_S * 10**9
    return await cleanup.clean(audio_tree(store, RETENTION), audio_hold(jobs, young_ns))


def audio_left(store: Path) -> set[str]:
    audio = [name for name in names(store / "jobs") if name.endswith(("source.mp3", "audio.wav"))]
    return {name.split("/")[0] for name in audio}


async def test_audio_of_a_finished_job_goes_and_its_transcript_stays(store: Path, make_cleanup: MakeCleanup) -> None:
    make_job(store, "aaaa")
    part = await clean(make_cleanup, store)
    assert part.counts["deleted"] == 2
    stay = {"recognised.json", "transcript.json", "result.json"}
    assert {name.removeprefix("jobs/aaaa/") for name in names(store) if name.startswith("jobs/")} == stay


async def test_audio_of_failed_jobs_goes_and_of_unknown_ones_stays(store: Path, make_cleanup: MakeCleanup) -> None:
    make_job(store, "failed", result=False)
    make_job(store, "unknown", result=False)
    part = await clean(make_cleanup, store, failed=frozenset({"failed"}))
    assert audio_left(store) == {"unknown"}
    assert part.counts["job unknown"] == 2


async def test_audio_of_a_job_that_runs_stays(store: Path, make_cleanup: MakeCleanup) -> None:
    make_job(store, "again")
    make_job(store, "failed", result=False)
    busy = frozenset({"again", "failed"})
    part = await clean(make_cleanup, store, open=busy, failed=frozenset({"failed"}))
    assert audio_left(store) == busy
    assert part.counts["job at work"] == 4


async def test_audio_that_another_job_may_be_working_with_stays(store: Path, make_cleanup: MakeCleanup) -> None:
    make_job(store, "old", length=777)
    make_job(store, "other", length=778)
    make_job(store, "batched", length=777, age_s=60, result=False)
    part = await clean(make_cleanup, store)
    assert audio_left(store) == {"old", "batched"}
    assert part.counts["recording in use"] == 2


async def test_young_audio_and_sources_of_text_jobs_stay(store: Path, make_cleanup: MakeCleanup) -> None:
    make_job(store, "young", age_s=6 * DAY_S)
    make_file(store / "jobs" / "text" / "source.txt")
    make_file(store / "jobs" / "text" / "result.json")
    make_file(store / "results" / "audio.wav")
    make_file(store / "jobs" / "source.mp3")
    part = await clean(make_cleanup, store)
    assert audio_left(store) == {"young", "source.mp3"}
    assert {"jobs/text/source.txt", "results/audio.wav"} <= names(store)
    assert part.counts["no job"] == 1
