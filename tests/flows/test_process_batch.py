"""The batch job: every recording is tried, failures are collected, done ones found."""

import csv
import shutil
from pathlib import Path

import pytest

from blocks.errors import NotFound
from blocks.job import JobOptions
from blocks.store import open_store
from flows import process_batch

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


async def test_failures_are_collected_and_the_rest_is_done(prefect_api: str, folder: Path) -> None:
    report = await process_batch([str(folder), "missing.wav"], OPTIONS)
    outcomes = {Path(item.source).name: item.outcome for item in report.items}
    assert outcomes == {"a.wav": "done", "b.wav": "failed", "missing.wav": "failed"}
    assert [Path(path).name for path in report.ignored] == ["notes.txt"]
    failed = next(item for item in report.items if item.source == "missing.wav")
    assert failed.code == "NOT_FOUND"
    assert failed.fix


async def test_a_second_batch_finds_what_is_done(prefect_api: str, folder: Path) -> None:
    await process_batch([str(folder / "a.wav")], OPTIONS)
    report = await process_batch([str(folder / "a.wav")], OPTIONS)
    assert [item.outcome for item in report.items] == ["found"]


async def test_the_report_is_stored(prefect_api: str, folder: Path) -> None:
    report = await process_batch([str(folder)], OPTIONS)
    stored = open_store().read_bytes(f"batches/{report.batch_id}/report.csv").decode("utf-8-sig")
    rows = list(csv.DictReader(stored.splitlines()))
    assert [row["outcome"] for row in rows] == [item.outcome for item in report.items]
    assert open_store().exists(f"batches/{report.batch_id}/report.md")


async def test_an_empty_folder_is_refused(prefect_api: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(NotFound, match="empty"):
        await process_batch([str(tmp_path / "empty")])
