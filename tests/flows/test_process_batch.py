"""The batch job: every recording is tried, failures are collected, done ones found."""

import csv
import random
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from blocks.errors import NotFound
from blocks.job import JobOptions
from blocks.settings import settings
from blocks.store import open_store
from blocks.transcript import Transcript
from flows import process_audio, process_batch
from tasks.jobs.publish import read_result
from tests.fakes.forked import Forks, forks_of
from tests.fakes.voices import SENTENCES, speak
from tests.processes import until

OPTIONS = JobOptions(features=("raw_transcript",))


@pytest.fixture
def folder(tmp_path: Path, sentence: Path) -> Path:
    """A good recording, one cut off within its first frame's header, a text, and a hidden file."""
    place = tmp_path / "recordings"
    (place / "deep").mkdir(parents=True)
    shutil.copyfile(sentence, place / "a.wav")
    (place / "b.wav").write_bytes(sentence.read_bytes()[:40])
    (place / "deep" / "notes.txt").write_text("no recording")
    (place / ".hidden.wav").write_bytes(sentence.read_bytes())
    return place


async def test_failures_are_collected_the_rest_is_done_and_found_the_next_time(prefect_api: str, folder: Path) -> None:
    report = await process_batch([str(folder), "missing.wav"], OPTIONS)
    outcomes = {Path(item.source).name: item.outcome for item in report.items}
    assert outcomes == {"a.wav": "done", "b.wav": "failed", "missing.wav": "failed"}
    assert [Path(path).name for path in report.ignored] == ["notes.txt"]
    failed = next(item for item in report.items if item.source == "missing.wav")
    assert failed.code == "NOT_FOUND"
    assert failed.fix
    stored = open_store().read_bytes(f"batches/{report.batch_id}/report.csv").decode("utf-8-sig")
    rows = list(csv.DictReader(stored.splitlines()))
    assert [row["outcome"] for row in rows] == [item.outcome for item in report.items]
    assert open_store().exists(f"batches/{report.batch_id}/report.md")
    again = await process_batch([str(folder / "a.wav")], OPTIONS)
    assert [item.outcome for item in again.items] == ["found"]


async def test_an_empty_folder_is_refused(prefect_api: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(NotFound, match="empty"):
        await process_batch([str(tmp_path / "empty")])


# Phases, with a model


@pytest.fixture
def spoken(tmp_path: Path, whisper: Path) -> Path:
    """Three recordings of other words, for the tiny Whisper."""
    place = tmp_path / "spoken"
    place.mkdir()
    for index, sentence in enumerate(SENTENCES[:3]):
        speak(place / f"{index}.wav", (sentence, SENTENCES[index + 3]))
    return place


HEARD = JobOptions(engine="whisper", language="en", guard=False, features=("raw_transcript",))


def stored_text(result_key: str | None) -> str:
    result = read_result(open_store(), result_key or "")
    assert result is not None
    return Transcript.model_validate_json(open_store().read_bytes(result.files["transcript.json"].key)).text


@pytest.mark.torch
async def test_a_batch_loads_the_model_once_hears_what_single_jobs_hear_and_once_done_loads_nothing(
    prefect_api: str, spoken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = await process_batch([str(spoken)], HEARD)
    assert [item.outcome for item in report.items] == ["done"] * 3
    assert report.model_loads == 1
    batched = [stored_text(item.job_id) for item in report.items]
    again = await process_batch([str(spoken)], HEARD)
    assert [item.outcome for item in again.items] == ["found"] * 3
    assert again.model_loads == 0
    monkeypatch.setenv("AUDIO_DIR", str(tmp_path / "other store"))
    settings.cache_clear()
    singles = [await process_audio(item.source, HEARD) for item in report.items]
    assert [stored_text(single.job_id) for single in singles] == batched
    assert all(batched)


@pytest.mark.torch
async def test_a_recording_the_model_cannot_hear_stops_none_of_the_others(
    prefect_api: str, spoken: Path, sentence: Path
) -> None:
    (spoken / "0.wav").write_bytes(sentence.read_bytes()[:40])
    report = await process_batch([str(spoken)], HEARD)
    assert [item.outcome for item in report.items] == ["failed", "done", "done"]
    assert report.model_loads == 1


@pytest.fixture(scope="module")
def batches(running_prefect_server: str) -> Iterator[Forks]:
    """Runs batches in forks of one process."""
    with forks_of("tests.flows.run_batch", PREFECT_API_URL=running_prefect_server) as forks:
        yield forks


@pytest.mark.torch
def test_a_batch_killed_at_any_moment_goes_on_where_it_stopped(batches: Forks, spoken: Path) -> None:
    """The full form, at a hundred random moments, is a soak test."""
    kill_and_finish(batches, spoken, kills=3)


@pytest.mark.soak
@pytest.mark.torch
def test_a_batch_killed_at_fifty_random_moments_goes_on(batches: Forks, spoken: Path) -> None:
    kill_and_finish(batches, spoken, kills=50)


def kill_and_finish(batches: Forks, folder: Path, kills: int) -> None:
    """Kill runs of the batch at random steps; a last run finishes, and repeats none that was stored."""
    chance = random.Random(3)
    for turn in range(kills):
        if turn % 5 == 4:
            shutil.rmtree(settings().audio_dir)  # from the start again
        killed = batches.run(folder=str(folder), kill_after=chance.randrange(16) or None)
        assert killed == {"signal": signal.SIGKILL} or "report" in killed, killed
    last = batches.run(folder=str(folder), kill_after=None)
    assert "report" in last, last
    assert {item["outcome"] for item in last["report"]["items"]} <= {"done", "found"}
    again = batches.run(folder=str(folder), kill_after=None)
    assert "report" in again, again
    began = {line for line in batches.printed if line.startswith("began ")}
    assert began == {"began ingest"}  # which looks at the world
    assert_no_orphans()


def assert_no_orphans() -> None:
    """Processes that held a model end with the run that started them, however it ended."""
    until(lambda: not any(orphaned(process) for process in alive()), 20)


def orphaned(process: psutil.Process) -> bool:
    return process.ppid() == 1 and "blocks.inference.worker" in process.cmdline()


def alive() -> list[psutil.Process]:
    return [process for process in psutil.process_iter() if process.status() != psutil.STATUS_ZOMBIE]
