"""Results of a period, read from a store."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from blocks.store.local import LocalFiles
from tasks.quality.results import StoredResult, Unreadable, stored_results
from tests.fakes.stored_jobs import DAY, fill, jobs, write

NEXT = DAY + timedelta(days=1)


@pytest.fixture
def files(tmp_path: Path) -> LocalFiles:
    return LocalFiles(tmp_path / "store")


Read = tuple[list[StoredResult], list[Unreadable]]


def read(files: LocalFiles, since: datetime = DAY, until: datetime = NEXT) -> Read:
    unreadable: list[Unreadable] = []
    return list(stored_results(files, since, until, on_unreadable=unreadable.append)), unreadable


def test_results_of_the_period_come_by_job_id(files: LocalFiles) -> None:
    fill(files, 1, 6, DAY)
    fill(files, 1, 4, NEXT)
    found, unreadable = read(files)
    assert [one.job_id for one in found] == sorted(one.result["job_id"] for one in jobs(1, 6, DAY))
    assert all(DAY <= one.finished_at < NEXT for one in found)
    assert unreadable == []


def test_the_end_is_no_part_of_the_period(files: LocalFiles) -> None:
    [stored] = jobs(1, 1)
    stored.result["finished_at"] = NEXT
    write(files, stored)
    assert read(files)[0] == []
    assert len(read(files, NEXT, NEXT + timedelta(seconds=1))[0]) == 1


def test_a_moment_without_a_zone_is_of_utc(files: LocalFiles) -> None:
    [stored] = jobs(1, 1)
    stored.result["finished_at"] = datetime(2026, 3, 2, 12)
    write(files, stored)
    [found], _ = read(files)
    assert found.finished_at == datetime(2026, 3, 2, 12, tzinfo=UTC)


def test_what_cannot_be_read_is_told(files: LocalFiles) -> None:
    fill(files, 1, 3)
    files.put_bytes("jobs/0000000000000001/result.json", b'{"job_id": "0000000000000001", "secret": "words"}')
    files.put_bytes("jobs/0000000000000002/result.json", b"\x00\xff")
    other = read(files)[0][0].job_id
    files.put_bytes("jobs/0000000000000003/result.json", files.read_bytes(f"jobs/{other}/result.json"))
    files.put_bytes("jobs/0000000000000004/deep/result.json", b"a file of a job")
    found, unreadable = read(files)
    assert len(found) == 3
    assert [one.key.split("/")[1] for one in unreadable] == [f"000000000000000{number}" for number in (1, 2, 3)]
    assert unreadable[2].why == f"it is the result of job {other}"
    assert "words" not in str(unreadable)


def test_a_folder_whose_name_no_store_gives_is_told(files: LocalFiles, tmp_path: Path) -> None:
    fill(files, 1, 3)
    for name in (b"\xff", b"a\x01"):
        folder = tmp_path / "store" / "jobs" / os.fsdecode(name)
        folder.mkdir()
        (folder / "result.json").write_bytes(b"{}")
    found, unreadable = read(files)
    assert len(found) == 3
    assert {one.key for one in unreadable} == {r"jobs/\udcff/result.json", r"jobs/a\x01/result.json"}


def test_a_result_written_before_the_period_is_not_read(files: LocalFiles) -> None:
    fill(files, 1, 1)
    [key] = [key for key in files.list("jobs/") if key.endswith("result.json")]
    files.put_bytes(key, b"it would be told, were it read")
    before = (DAY - timedelta(hours=2)).timestamp()
    os.utime(files.root / key, (before, before))
    assert read(files) == ([], [])


def test_the_transcript_is_read_when_asked_for(files: LocalFiles) -> None:
    fill(files, 1, 3)
    whole, damaged, gone = read(files)[0]
    files.put_bytes(f"jobs/{damaged.job_id}/transcript.json", b"{}")
    files.delete(f"jobs/{gone.job_id}/transcript.json")
    assert not isinstance(whole.transcript(), Unreadable)
    told = damaged.transcript()
    assert isinstance(told, Unreadable)
    assert "language" in told.why
    assert gone.transcript() == Unreadable(key=f"jobs/{gone.job_id}/transcript.json", why="it is not there")
