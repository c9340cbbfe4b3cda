"""What went can be had back, and goes for good when its time is over."""

import os
from pathlib import Path

import pytest

from blocks.errors import BadInput, NotAllowed, NotFound
from tasks.ops.cleanup.bin import batches, restore
from tests.tasks.ops.cleanup.conftest import DAY_S, MakeCleanup, aged, logs_tree, make_file, names


@pytest.fixture
async def batch_id(root: Path, make_cleanup: MakeCleanup) -> str:
    """Three files in the trash."""
    for name in ("a.log", "web/b.log", "web/x\ny.log"):
        make_file(root / name)
    await make_cleanup().clean(logs_tree(root, trash_days=1))
    (batch,) = batches(root)
    assert (batch.files, batch.size_bytes, batch.tree) == (3, 3 * 4096, "logs")
    return batch.batch_id


def test_all_of_it_is_put_back(root: Path, batch_id: str) -> None:
    (root / "web").rmdir()
    restored = restore(root, batch_id)
    assert (restored.files, restored.taken) == (3, ())
    assert names(root) == {"a.log", "web/b.log", "web/x\ny.log"}
    assert batches(root) == ()


def test_one_file_is_put_back(root: Path, batch_id: str) -> None:
    assert restore(root, batch_id, "web/b.log").files == 1
    assert names(root) == {"web/b.log"}
    assert batches(root)[0].files == 2


def test_what_has_taken_its_place_is_not_overwritten(root: Path, batch_id: str) -> None:
    (root / "a.log").write_text("new")
    restored = restore(root, batch_id)
    assert (restored.files, restored.taken) == (2, ("a.log",))
    assert (root / "a.log").read_text() == "new"
    assert batches(root)[0].files == 1


def test_a_link_in_the_place_of_its_folder_is_not_followed(root: Path, batch_id: str, tmp_path: Path) -> None:
    (root / "web").rmdir()
    (root / "web").symlink_to(tmp_path)
    assert restore(root, batch_id).files == 1
    assert not (tmp_path / "b.log").exists()


def test_what_is_no_batch_is_told(root: Path, batch_id: str) -> None:
    with pytest.raises(BadInput):
        restore(root, "../../etc")
    with pytest.raises(NotFound, match="the trash has no"):
        restore(root, batch_id.replace("logs", "other"))
    with pytest.raises(NotFound, match="the batch has no"):
        restore(root, batch_id, "../a.log")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_trash_of_somebody_else_is_refused(root: Path, batch_id: str) -> None:
    os.chown(root / ".trash", 12345, 12345)
    with pytest.raises(NotAllowed):
        restore(root, batch_id)


async def test_it_goes_for_good_when_its_time_is_over(root: Path, batch_id: str, make_cleanup: MakeCleanup) -> None:
    tree = logs_tree(root, trash_days=1)
    part = await make_cleanup(run_id="run-2").purge_trash(tree, DAY_S)
    assert (part.status, len(batches(root))) == ("skipped", 1)
    planned = await make_cleanup(run_id="run-2", dry_run=True).purge_trash(tree, 0)
    assert (planned.status, len(batches(root))) == ("planned", 1)
    part = await make_cleanup(run_id="run-2").purge_trash(tree, 0)
    assert (part.status, part.counts, part.freed_bytes) == ("done", {"batches": 1, "files": 3}, 3 * 4096)
    assert batches(root) == ()


async def test_the_trash_is_not_cleaned_like_the_rest(root: Path, batch_id: str, make_cleanup: MakeCleanup) -> None:
    aged(root / ".trash" / batch_id / "a.log", 90 * DAY_S)
    part = await make_cleanup(run_id="run-2").clean(logs_tree(root))
    assert part.counts == {}
    assert batches(root)[0].files == 3
