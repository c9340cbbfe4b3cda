"""Killed while deleting, restoring and purging: nothing is ever lost, and nothing is in two places."""

from pathlib import Path

from blocks.trash import Trash
from blocks.workspace import Workspace


def _prepare(place: Path) -> None:
    tree = place / "workspace" / "folder" / "tree"
    tree.mkdir(parents=True)
    (tree / "file").write_text("content")


def _prepare_deleted(place: Path) -> None:
    _prepare(place)
    _put(place)


def _put(place: Path) -> None:
    Trash(place / "trash").put(Workspace(place / "workspace"), "folder/tree")


def _restore(place: Path) -> None:
    trash = Trash(place / "trash")
    [trashed] = trash.list()
    trash.restore(trashed.trash_id)


def _purge(place: Path) -> None:
    Trash(place / "trash").purge(0)


def _either(place: Path, _killed: bool) -> None:
    trash, there = Trash(place / "trash"), place / "workspace" / "folder" / "tree" / "file"
    kept = trash.list()
    assert there.exists() != bool(kept), f"{place}: there {there.exists()}, in the trash {kept}"
    for trashed in kept:
        trash.restore(trashed.trash_id)
    assert there.read_text() == "content"
    assert not list((place / "trash").glob("[0-9a-f]*")), "something is left in the trash"


def _kept_or_gone(place: Path, killed: bool) -> None:
    trash = Trash(place / "trash")
    if trash.list():
        assert killed
        _either(place, killed)
    assert not list((place / "trash").glob("[0-9a-f]*")), "something is left in the trash"


CASES = [(_prepare, _put, _either), (_prepare_deleted, _restore, _either), (_prepare_deleted, _purge, _kept_or_gone)]
