"""Files are written below a folder, whatever lies there or is put there meanwhile."""

import os
from pathlib import Path

import pytest

from blocks.errors import Conflict, NotFound
from blocks.iiagent.tree import Blocked, Tree, open_tree

PARTS = ".parts"


def test_a_file_is_replaced_whole_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    with open_tree(tmp_path) as tree:
        tree.put_bytes(PARTS, "out/a.txt", b"old")
        tree.put_bytes(PARTS, "out/a.txt", b"new")
    assert (tmp_path / "out" / "a.txt").read_bytes() == b"new"
    assert not list((tmp_path / PARTS).iterdir())


def test_a_link_is_replaced_and_what_it_leads_to_is_left(tmp_path: Path) -> None:
    outside = tmp_path / "outside.txt"
    outside.write_text("mine")
    root = tmp_path / "root"
    root.mkdir()
    (root / "a.txt").symlink_to(outside)
    with open_tree(root) as tree:
        tree.put_bytes(PARTS, "a.txt", b"theirs")
    assert outside.read_text() == "mine"
    assert not (root / "a.txt").is_symlink()


def test_a_linked_folder_is_not_entered(tmp_path: Path) -> None:
    outside, root = tmp_path / "outside", tmp_path / "root"
    outside.mkdir()
    root.mkdir()
    (root / "out").symlink_to(outside)
    with open_tree(root) as tree, pytest.raises(Blocked):
        tree.put_bytes(PARTS, "out/a.txt", b"theirs")
    assert not list(outside.iterdir())


def test_a_folder_that_is_swapped_for_a_link_while_it_is_written_does_not_lead_outside(tmp_path: Path) -> None:
    outside, root = tmp_path / "outside", tmp_path / "root"
    outside.mkdir()
    (root / "out").mkdir(parents=True)
    with open_tree(root) as tree, tree.part(PARTS) as part:
        part.write(b"theirs")
        # Between the look at the folder and the writing into it.
        with tree.folder(["out"]) as held:
            (root / "out").rename(root / "moved")
            (root / "out").symlink_to(outside)
            assert os.fstat(held).st_ino == (root / "moved").stat().st_ino
            with pytest.raises(Blocked):
                tree.put(part, "out/a.txt")
    assert not list(outside.iterdir())


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_only_plain_files_are_read(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a"
    if kind == "link":
        path.symlink_to("/etc/hostname")
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.mkdir()
    with open_tree(tmp_path) as tree, pytest.raises(Blocked), tree.read("a"):
        pass


def test_listing_follows_no_link_and_ends_at_its_cap(tmp_path: Path) -> None:
    (tmp_path / "out" / "deep").mkdir(parents=True)
    for name in ("a", "out/b", "out/deep/c"):
        (tmp_path / name).write_text("x")
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "passwd").symlink_to("/etc/passwd")
    with open_tree(tmp_path) as tree:
        assert list(tree.names(100)) == ["a", "out/b", "out/deep/c"]
        assert list(tree.names(1)) == ["a"]


def test_two_do_not_write_at_once(tmp_path: Path) -> None:
    with open_tree(tmp_path) as one, open_tree(tmp_path) as other, one.alone(), pytest.raises(Conflict), other.alone():
        pass
    with open_tree(tmp_path) as later, later.alone():
        pass


def test_a_failed_write_leaves_no_part(tmp_path: Path) -> None:
    def fail(tree: Tree) -> None:
        with tree.part(PARTS) as part:
            part.write(b"half")
            raise RuntimeError

    with open_tree(tmp_path) as tree, pytest.raises(RuntimeError):
        fail(tree)
    assert not list((tmp_path / PARTS).iterdir())


def test_errors_of_whoever_uses_a_folder_stay_what_they_are(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    with open_tree(tmp_path) as tree, pytest.raises(FileNotFoundError), tree.read("a"):
        (tmp_path / "none").read_text()


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotFound), open_tree(tmp_path / "none"):
        pass
    with open_tree(tmp_path) as tree, pytest.raises(NotFound), tree.read("none/a"):
        pass
