"""A tree is cleaned: what is due goes, a dry run says the same, and the report has a line for each file."""

import gzip
import json
from pathlib import Path

import pytest

from blocks.store import open_store
from tasks.ops.cleanup.report import Part, read_lines
from tests.tasks.ops.cleanup.conftest import DAY_S, MakeCleanup, aged, logs_tree, make_file, names


def lines(part: Part) -> dict[str, str]:
    """What the report says of each file."""
    assert part.report
    return {line["path"]: line["status"] for line in read_lines(open_store(), part.report)}


async def test_old_log_files_go_and_young_and_other_ones_stay(root: Path, make_cleanup: MakeCleanup) -> None:
    make_file(root / "a.log", size_bytes=5000)
    make_file(root / "web" / "b.jsonl.3")
    make_file(root / "young.log", age_s=6 * DAY_S)
    make_file(root / "notes.txt")
    part = await make_cleanup().clean(logs_tree(root))
    assert names(root) == {"young.log", "notes.txt"}
    assert (part.status, part.counts) == ("done", {"deleted": 2, "young": 1, "other": 1})
    assert part.freed_bytes == 8192 + 4096
    assert lines(part) == {"a.log": "deleted", "web/b.jsonl.3": "deleted"}
    assert (root / "web").is_dir()
    assert not (root / ".trash" / "going").exists()


async def test_a_dry_run_says_what_a_run_does(root: Path, make_cleanup: MakeCleanup) -> None:
    for number in range(20):
        make_file(root / f"{number % 3}" / f"{number}.log", age_s=number * DAY_S, size_bytes=number * 1000)
    (root / "0" / "link.log").hardlink_to(root / "0" / "18.log")
    before = names(root)
    planned = await make_cleanup(dry_run=True).clean(logs_tree(root, keep_newest=1))
    assert names(root) == before
    done = await make_cleanup().clean(logs_tree(root, keep_newest=1))
    assert planned.status == "planned"
    assert planned.counts["to delete"] == done.counts["deleted"] == 14
    assert planned.freed_bytes == done.freed_bytes > 0
    assert set(lines(planned)) == set(lines(done)) == before - names(root)


async def test_the_trash_holds_what_went(root: Path, make_cleanup: MakeCleanup) -> None:
    make_file(root / "web" / "a.log")
    part = await make_cleanup().clean(logs_tree(root, trash_days=1))
    assert names(root) == set()
    assert (part.counts, part.freed_bytes, part.trashed_bytes) == ({"trashed": 1}, 0, 4096)
    (batch,) = (root / ".trash").iterdir()
    assert (batch / "web" / "a.log").exists()
    assert batch.stat().st_mode & 0o777 == 0o700


async def test_old_log_files_are_compressed_before_they_go(root: Path, make_cleanup: MakeCleanup) -> None:
    make_file(root / "a.log", age_s=3 * DAY_S, size_bytes=100_000).chmod(0o640)
    make_file(root / "done.log.gz", age_s=3 * DAY_S)
    aged(root / "a.log", 3 * DAY_S)
    written_ns = (root / "a.log").stat().st_mtime_ns
    part = await make_cleanup().clean(logs_tree(root, compress_days=2))
    assert names(root) == {"a.log.gz", "done.log.gz"}
    packed = root / "a.log.gz"
    assert gzip.decompress(packed.read_bytes()) == b"x" * 100_000
    assert (packed.stat().st_mtime_ns, packed.stat().st_mode & 0o777) == (written_ns, 0o640)
    assert part.counts["compressed"] == 1
    assert part.freed_bytes == 102_400 - 4096
    aged(packed, 8 * DAY_S)
    await make_cleanup(run_id="run-2").clean(logs_tree(root, compress_days=2))
    assert names(root) == {"done.log.gz"}


@pytest.mark.parametrize(
    ("retention", "left"),
    [
        ({"keep_newest": 2}, {"0.log", "6.log", "8.log", "9.log"}),
        ({"keep_most": 2}, {"0.log", "6.log"}),
        ({"protected": ["9*"]}, {"0.log", "6.log", "9.log"}),
        ({"days": 8.5}, {"0.log", "6.log", "8.log"}),
    ],
)
async def test_retention_is_by_age_and_by_count(
    root: Path, make_cleanup: MakeCleanup, retention: dict[str, object], left: set[str]
) -> None:
    for age in (0, 6, 8, 9):
        make_file(root / f"{age}.log", age_s=age * DAY_S + 60)
    if retention == {"keep_newest": 2}:
        left = {"0.log", "6.log"}
    await make_cleanup().clean(logs_tree(root, **retention))
    assert names(root) == left


async def test_a_second_run_does_nothing(root: Path, make_cleanup: MakeCleanup) -> None:
    make_file(root / "a.log")
    await make_cleanup().clean(logs_tree(root))
    part = await make_cleanup(run_id="run-2").clean(logs_tree(root))
    assert (part.status, part.counts, part.freed_bytes) == ("done", {}, 0)


async def test_a_run_that_goes_on_tells_what_it_told(root: Path, make_cleanup: MakeCleanup) -> None:
    make_file(root / "a.log")
    first = await make_cleanup().clean(logs_tree(root))
    again = await make_cleanup().clean(logs_tree(root))
    assert again.counts == first.counts
    assert lines(again) == {"a.log": "deleted"}


async def test_a_folder_that_is_not_there_is_no_fault(root: Path, make_cleanup: MakeCleanup) -> None:
    part = await make_cleanup().clean(logs_tree(root / "none"))
    assert (part.status, part.why) == ("skipped", "there is no such folder")


async def test_lines_are_json_whatever_files_are_called(root: Path, make_cleanup: MakeCleanup) -> None:
    make_file(root / "a\nb.log")
    make_file(root / "\udcff.log")
    part = await make_cleanup().clean(logs_tree(root))
    assert part.report
    content = open_store().read_bytes(part.report).splitlines()
    assert sorted(json.loads(line)["path"] for line in content) == ["a\nb.log", "\udcff.log"]
