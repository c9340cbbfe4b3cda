"""Archives among the files of a download are unpacked beside them, once, within one set of caps."""

import hashlib
from pathlib import Path
from typing import Any

import pytest

from blocks.errors import StoreFailed
from blocks.iiagent.downloaded import Record
from blocks.iiagent.tree import Tree, open_tree
from blocks.iiagent.unpacked import LIST, Unpacked, unpack
from blocks.iiagent.unzip import UnzipLimits
from tests.blocks.iiagent.test_unzip import packed
from tests.fakes.iiagent.hostile import bomb, climbing_zip

CONTENT = packed(("out/a.txt", b"one"), ("b.txt", b"two"))


def unpacked(folder: Path, files: dict[str, bytes], **limits: Any) -> dict[str, Unpacked]:
    """What comes of a folder of downloads with these files, by archive."""
    records: list[Record] = []
    for name, content in files.items():
        path = folder / "files" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        records.append(Record(name=name, remote=name, size_bytes=len(content), sha256=digest))
    with open_tree(folder) as tree:
        return {one.archive: one for one in unpack(tree, records, UnzipLimits(**limits))}


def files_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_an_archive_is_unpacked_under_its_name(tmp_path: Path) -> None:
    found = unpacked(tmp_path, {"made/all.ZIP": CONTENT, "plain.txt": b"x"})
    assert list(found) == ["made/all.ZIP"]
    one = found["made/all.ZIP"]
    assert (one.folder, one.files, one.total_bytes, one.failed) == (
        "unpacked/made/all",
        ("out/a.txt", "b.txt"),
        6,
        None,
    )
    assert files_in(tmp_path / "unpacked") == {"made/all/out/a.txt", "made/all/b.txt"}


def test_only_an_archive_that_changed_is_unpacked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unpacked(tmp_path, {"a.zip": CONTENT, "b.zip": CONTENT})
    before = {name: (tmp_path / "unpacked" / name).stat().st_ino for name in ("a/b.txt", "b/b.txt")}
    again = unpacked(tmp_path, {"a.zip": CONTENT, "b.zip": packed(("b.txt", b"three"))})
    after = {name: (tmp_path / "unpacked" / name).stat().st_ino for name in before}
    assert before["a/b.txt"] == after["a/b.txt"]
    assert (tmp_path / "unpacked" / "b" / "b.txt").read_bytes() == b"three"
    assert again["b.zip"].files == ("b.txt",)
    assert files_in(tmp_path / "unpacked") == {"a/out/a.txt", "a/b.txt", "b/b.txt"}


def test_what_was_removed_or_changed_here_is_unpacked_again(tmp_path: Path) -> None:
    unpacked(tmp_path, {"a.zip": CONTENT})
    (tmp_path / "unpacked" / "a" / "b.txt").unlink()
    unpacked(tmp_path, {"a.zip": CONTENT})
    assert (tmp_path / "unpacked" / "a" / "b.txt").read_bytes() == b"two"
    (tmp_path / LIST).write_text("no list")
    assert unpacked(tmp_path, {"a.zip": CONTENT})["a.zip"].files == ("out/a.txt", "b.txt")


def test_bombs_and_what_is_no_archive_are_told_and_stop_nothing(tmp_path: Path) -> None:
    files = {"a.zip": bomb(), "b.zip": b"no archive", "c.zip": climbing_zip(), "d.zip": CONTENT}
    found = unpacked(tmp_path, files)
    told = {name: one.failed and one.failed.reason for name, one in found.items()}
    assert told == {"a.zip": "large", "b.zip": "refused", "c.zip": None, "d.zip": None}
    assert {refusal.reason for refusal in found["c.zip"].refused} == {"outside", "backslash"}
    assert files_in(tmp_path / "unpacked") == {"c/good.txt", "d/out/a.txt", "d/b.txt"}
    assert files_in(tmp_path) == {
        LIST,
        *(f"files/{name}" for name in files),
        *(f"unpacked/{name}" for name in files_in(tmp_path / "unpacked")),
    }


@pytest.mark.parametrize("limits", [{"total_bytes": 8}, {"members": 3}, {"total_bytes": 6}, {"members": 2}])
def test_the_caps_hold_for_all_archives_together(tmp_path: Path, limits: dict[str, Any]) -> None:
    found = unpacked(tmp_path, {"a.zip": CONTENT, "b.zip": CONTENT}, **limits)
    assert found["a.zip"].failed is None
    failed = found["b.zip"].failed
    assert failed is not None
    assert failed.reason == "large"
    assert unpacked(tmp_path, {"a.zip": CONTENT, "b.zip": CONTENT})["b.zip"].failed is None


def test_two_archives_are_never_unpacked_into_one_folder(tmp_path: Path) -> None:
    found = unpacked(tmp_path, {"a.zip": packed(("b/x", b"of a")), "a/b.zip": packed(("x", b"of b"))})
    assert (tmp_path / "unpacked" / "a" / "b" / "x").read_bytes() == b"of a"
    failed = found["a/b.zip"].failed
    assert failed is not None
    assert "lie within" in failed.why


def test_a_link_that_lies_there_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "in" / "unpacked").symlink_to(tmp_path / "outside")
    found = unpacked(tmp_path / "in", {"a.zip": CONTENT})
    assert found["a.zip"].failed is not None
    assert files_in(tmp_path / "outside") == set()


def test_a_full_disk_is_no_fault_of_the_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise StoreFailed("no space left", fix="check the disk")

    monkeypatch.setattr(Tree, "put", full)
    with pytest.raises(StoreFailed):
        unpacked(tmp_path, {"a.zip": CONTENT})
