"""Traps: exactly the files that were meant go, and nothing outside of the tree is touched."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from blocks.settings import settings
from tasks.ops.cleanup import remove
from tasks.ops.cleanup.choose import Plan, choose
from tasks.ops.cleanup.remove import Remover
from tasks.ops.cleanup.rules import Tree
from tasks.ops.cleanup.scan import Scan
from tasks.ops.cleanup.tree import alone, free_bytes
from tests.tasks.ops.cleanup.conftest import DAY_S, MakeCleanup, aged, fill, logs_tree, make_file, mounted, names


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """An old log file outside of the tree."""
    return make_file(tmp_path / "outside" / "precious.log")


def plan_of(tree: Tree) -> Plan:
    return choose(Scan(tree.root).folders(), tree, now_ns=time.time_ns())


def done(tree: Tree, plan: Plan, before: Any = None) -> dict[str, str]:
    """Do a plan; what became of each file. `before` is called when a file is about to be dealt with."""
    told: dict[str, str] = {}
    calls = iter(range(10_000))

    def check() -> None:
        number = next(calls)
        if number == 1 and before:  # the first is for the folder, which is open by then
            before()

    batch = "20261122T000000Z.logs.run-1"
    Remover(tree.root, batch, lambda line: told.update({line["path"]: line["status"]}), check).run(plan)
    return told


async def test_links_are_not_followed_and_stay(root: Path, outside: Path, make_cleanup: MakeCleanup) -> None:
    (root / "file.log").symlink_to(outside)
    (root / "folder").symlink_to(outside.parent)
    (root / "up.log").symlink_to("..")
    aged(root / "file.log")
    part = await make_cleanup().clean(logs_tree(root))
    assert outside.exists()
    assert names(root) == {"file.log", "folder", "up.log"}
    assert part.counts == {"link": 3}


async def test_a_root_that_is_a_link_is_cleaned_where_it_leads(
    root: Path, tmp_path: Path, make_cleanup: MakeCleanup
) -> None:
    make_file(root / "a.log")
    (tmp_path / "logs").symlink_to(root)
    part = await make_cleanup().clean(logs_tree(tmp_path / "logs"))
    assert part.counts == {"deleted": 1}


@pytest.mark.parametrize("trash_days", [0, 1])
def test_a_folder_swapped_for_a_link_is_not_entered(root: Path, outside: Path, trash_days: int) -> None:
    make_file(root / "web" / "precious.log")
    tree = logs_tree(root, trash_days=trash_days)
    plan = plan_of(tree)
    shutil.move(root / "web", root.parent / "moved")
    (root / "web").symlink_to(outside.parent)
    assert done(tree, plan) == {"web/precious.log": "changed"}
    assert outside.exists()


def test_a_folder_swapped_for_another_is_left_alone(root: Path, outside: Path) -> None:
    make_file(root / "web" / "precious.log")
    tree = logs_tree(root)
    plan = plan_of(tree)
    shutil.move(root / "web", root.parent / "moved")
    shutil.move(outside.parent, root / "web")
    assert done(tree, plan) == {"web/precious.log": "changed"}
    assert (root / "web" / "precious.log").exists()


@pytest.mark.parametrize("trash_days", [0, 1])
def test_a_file_swapped_between_look_and_deletion_stays(root: Path, outside: Path, trash_days: int) -> None:
    make_file(root / "a.log")
    tree = logs_tree(root, trash_days=trash_days)
    plan = plan_of(tree)

    def swap() -> None:
        (root / "a.log").unlink()
        outside.rename(root / "a.log")

    assert done(tree, plan, swap) == {"a.log": "changed"}
    assert (root / "a.log").read_bytes() == b"x" * 100
    assert not [path for path in (root / ".trash").rglob("*") if path.is_file()]


@pytest.mark.parametrize("trash_days", [0, 1])
def test_a_file_swapped_after_the_last_look_is_put_back(
    root: Path, outside: Path, trash_days: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The narrowest gap: between the look at the name and the move of what has it then."""
    make_file(root / "a.log")
    tree = logs_tree(root, trash_days=trash_days)
    plan = plan_of(tree)
    move, swapped = remove.move_new, iter([True])

    def swap_and_move(*arguments: Any) -> None:
        if next(swapped, False):
            (root / "a.log").unlink()
            outside.rename(root / "a.log")
        move(*arguments)

    monkeypatch.setattr(remove, "move_new", swap_and_move)
    assert done(tree, plan) == {"a.log": "changed"}
    assert (root / "a.log").exists()


def test_a_file_that_is_written_to_after_the_look_stays(root: Path) -> None:
    path = make_file(root / "a.log")
    tree = logs_tree(root)
    plan = plan_of(tree)

    def write() -> None:
        with path.open("a") as stream:
            stream.write("more")

    assert done(tree, plan, write) == {"a.log": "changed"}


async def test_a_name_that_is_linked_to_a_protected_file_stays(root: Path, make_cleanup: MakeCleanup) -> None:
    make_file(root / "z" / "ledger.keep")
    (root / "a.log").hardlink_to(root / "z" / "ledger.keep")
    part = await make_cleanup().clean(logs_tree(root))
    assert names(root) == {"a.log", "z/ledger.keep"}
    assert part.counts == {"protected": 1, "link to protected": 1}


async def test_a_name_of_a_file_that_has_others_outside_frees_nothing(
    root: Path, outside: Path, make_cleanup: MakeCleanup
) -> None:
    (root / "a.log").hardlink_to(outside)
    part = await make_cleanup().clean(logs_tree(root))
    assert (part.counts, part.freed_bytes) == ({"deleted": 1}, 0)
    assert outside.exists()


@pytest.fixture
def immutable(root: Path) -> Iterator[Path]:
    """A file that not even root can delete."""
    path = make_file(root / "fixed.log")
    if os.geteuid() or subprocess.run(["chattr", "+i", str(path)], capture_output=True).returncode:
        pytest.skip("files cannot be made immutable here")
    yield path
    subprocess.run(["chattr", "-i", str(path)], check=True)


async def test_an_immutable_file_stays_and_stops_nothing(
    root: Path, immutable: Path, make_cleanup: MakeCleanup
) -> None:
    make_file(root / "a.log")
    make_file(root / "z.log")
    planned = await make_cleanup(dry_run=True).clean(logs_tree(root))
    part = await make_cleanup().clean(logs_tree(root))
    assert names(root) == {"fixed.log"}
    assert planned.counts == {"to delete": 2, "immutable": 1}
    assert part.counts == {"deleted": 2, "immutable": 1}


def test_what_becomes_immutable_after_the_look_fails_alone(root: Path) -> None:
    if os.geteuid():
        pytest.skip("only root makes files immutable")
    path = make_file(root / "a.log")
    make_file(root / "b.log")
    tree = logs_tree(root)
    plan = plan_of(tree)
    try:
        told = done(tree, plan, lambda: subprocess.run(["chattr", "+i", str(path)], check=True))
    finally:
        subprocess.run(["chattr", "-i", str(path)], check=True)
    assert told == {"a.log": "failed", "b.log": "deleted"}


async def test_names_with_newlines_go_like_others(root: Path, make_cleanup: MakeCleanup) -> None:
    make_file(root / "a\nb" / "c\n.log")
    make_file(root / "-rf *.log")
    make_file(root / "$(touch x).log")
    part = await make_cleanup().clean(logs_tree(root))
    assert (names(root), part.counts) == (set(), {"deleted": 3})


async def test_other_mounts_are_not_entered(root: Path, outside: Path, make_cleanup: MakeCleanup) -> None:
    with (
        mounted(root / "tmpfs", "-t", "tmpfs", "-o", "size=1m", "none") as other,
        mounted(root / "bound", "--bind", str(outside.parent)) as bound,
    ):
        make_file(other / "a.log")
        part = await make_cleanup().clean(logs_tree(root))
        assert (other / "a.log").exists()
        assert (bound / "precious.log").exists()
        assert part.counts == {"mount": 2}
        told = await make_cleanup(run_id="run-2").clean(logs_tree(root, cross_mounts=True))
        assert told.counts == {"deleted": 2}
        assert not (other / "a.log").exists()


async def test_a_file_that_is_mounted_on_a_file_stays(root: Path, outside: Path, make_cleanup: MakeCleanup) -> None:
    path = make_file(root / "a.log")
    with mounted(path, "--bind", str(outside)):
        part = await make_cleanup().clean(logs_tree(root))
    assert part.counts == {"mount": 1}
    assert path.exists()
    assert outside.exists()


async def test_a_file_that_is_open_stays_unless_told_otherwise(root: Path, make_cleanup: MakeCleanup) -> None:
    path = make_file(root / "a.log", size_bytes=8192)
    with path.open("rb"):
        part = await make_cleanup().clean(logs_tree(root))
        assert (part.counts, part.freed_bytes) == ({"open": 1}, 0)
        part = await make_cleanup(run_id="run-2").clean(logs_tree(root, open_files=True))
        assert (part.counts, part.freed_bytes, part.held_bytes) == ({"deleted": 1}, 8192, 8192)


async def test_files_of_the_future_stay(root: Path, make_cleanup: MakeCleanup) -> None:
    make_file(root / "future.log", age_s=-400 * DAY_S)
    make_file(root / "skewed.log", age_s=-100)
    part = await make_cleanup().clean(logs_tree(root))
    assert names(root) == {"future.log", "skewed.log"}
    assert part.counts == {"future": 1, "young": 1}


async def test_a_trash_that_is_a_link_is_refused(root: Path, outside: Path, make_cleanup: MakeCleanup) -> None:
    make_file(root / "a.log")
    (root / ".trash").symlink_to(outside.parent)
    part = await make_cleanup().clean(logs_tree(root, trash_days=1))
    assert part.status == "failed"
    assert names(root) >= {"a.log"}
    assert list(outside.parent.iterdir()) == [outside]


async def test_two_cleanups_at_once_do_not_meet(root: Path, make_cleanup: MakeCleanup) -> None:
    make_file(root / "a.log")
    with alone(root):
        part = await make_cleanup().clean(logs_tree(root))
    assert part.status == "failed"
    assert "another cleanup" in part.why


async def test_freed_bytes_are_what_the_disk_says(small_disk: Path, make_cleanup: MakeCleanup) -> None:
    for number in range(50):
        make_file(small_disk / f"{number}.log", size_bytes=number * 999)
    (small_disk / "link.log").hardlink_to(small_disk / "49.log")
    free = free_bytes(small_disk)
    planned = await make_cleanup(dry_run=True).clean(logs_tree(small_disk))
    part = await make_cleanup().clean(logs_tree(small_disk))
    assert part.freed_bytes == planned.freed_bytes == free_bytes(small_disk) - free == part.disk_bytes


@pytest.mark.parametrize("retention", [{"trash_days": 0}, {"trash_days": 1}, {"compress_days": 1, "days": 60}])
async def test_a_full_disk_does_not_stop_it(
    small_disk: Path, make_cleanup: MakeCleanup, retention: dict[str, Any]
) -> None:
    make_file(small_disk / "web" / "a.log", size_bytes=500_000)
    make_file(small_disk / "b.log", size_bytes=10)
    fill(small_disk)
    assert free_bytes(small_disk) == 0
    part = await make_cleanup().clean(logs_tree(small_disk, **retention))
    assert part.status == "done"
    if retention.get("compress_days"):
        assert part.counts["failed"] == 2
        assert all("space" in why for _, why in part.troubles)
        assert not [path for path in (small_disk / ".trash").rglob("*") if path.is_file()]
    else:
        assert names(small_disk) == {"filler"}


async def test_the_report_is_written_when_there_is_room_again(
    small_disk: Path, make_cleanup: MakeCleanup, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store, too, is on the full disk."""
    monkeypatch.setenv("AUDIO_DIR", str(small_disk / "store"))
    settings.cache_clear()
    cleanup = make_cleanup()
    make_file(small_disk / "logs" / "a.log", size_bytes=500_000)
    fill(small_disk)
    part = await cleanup.clean(logs_tree(small_disk / "logs"))
    assert part.report
    assert cleanup.files.exists(part.report)


async def test_a_disk_without_room_for_the_report_is_cleaned_all_the_same(
    small_disk: Path, make_cleanup: MakeCleanup, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUDIO_DIR", str(small_disk / "store"))
    settings.cache_clear()
    cleanup = make_cleanup()
    make_file(root / "a.log")
    fill(small_disk)
    part = await cleanup.clean(logs_tree(root))
    assert (part.status, part.counts, part.report) == ("done", {"deleted": 1}, None)
