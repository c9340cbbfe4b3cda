"""What every store does, whichever it is."""

import hashlib
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.errors import BadInput, Conflict, NotFound
from blocks.store import Files, safe_key

NAMES = ["two words.txt", "Cuộc họp – đã ghi.txt", 'it\'s "quoted"', "-rf", "%20#?&", "x" * 255]


def test_content_comes_back_with_its_hash(files: Files, tmp_path: Path) -> None:
    ref = files.put_bytes("jobs/a/x.txt", b"hello", "text/plain")
    assert files.read_bytes(ref.key) == b"hello"
    assert (ref.sha256, ref.size_bytes) == (hashlib.sha256(b"hello").hexdigest(), 5)
    with files.open(ref.key) as stream:
        assert stream.read() == b"hello"
    with files.open(ref.key, 2) as stream:
        assert stream.read() == b"llo"
    with files.local(ref.key) as path:
        assert path.read_bytes() == b"hello"


def test_a_local_file_is_copied_and_a_scratch_file_taken(files: Files, tmp_path: Path) -> None:
    own = tmp_path / "own.bin"
    own.write_bytes(b"mine")
    assert files.put_file("a/own", own) == files.put_bytes("a/own", b"mine")
    assert own.exists()
    with files.scratch("made.bin") as path:
        path.write_bytes(b"made")
        files.put_file("a/made", path)
    assert files.read_bytes("a/made") == b"made"
    assert not path.exists()


def test_a_copy_lives_on_without_its_source(files: Files) -> None:
    ref = files.put_bytes("a/x", b"1")
    copy = files.copy(ref, "b/x")
    files.delete("a/x")
    assert files.read_bytes(copy.key) == b"1"
    assert files.copy(copy, "b/x") == copy


def test_a_second_name_does_not_change_with_the_first(files: Files) -> None:
    copy = files.copy(files.put_bytes("a/x", b"1"), "b/x")
    files.put_bytes("a/x", b"2")
    assert files.read_bytes(copy.key) == b"1"


def test_keys_are_listed_by_prefix_and_sorted(files: Files) -> None:
    for key in ("b/2", "a/1", "b/1", "bb/1"):
        files.put_bytes(key, b"")
    assert list(files.list()) == ["a/1", "b/1", "b/2", "bb/1"]
    assert list(files.list("b/")) == ["b/1", "b/2"]
    assert list(files.list("b")) == ["b/1", "b/2", "bb/1"]
    assert list(files.list("nothing/")) == []


def test_a_file_says_when_it_was_written(files: Files) -> None:
    files.put_bytes("a/x", b"1")
    assert abs((datetime.now(UTC) - files.modified("a/x")).total_seconds()) < 60
    with pytest.raises(NotFound):
        files.modified("a/y")
    files.put_bytes("b/x", b"another")
    assert list(files.list_modified("a/")) == [("a/x", files.modified("a/x"))]
    assert [key for key, _ in files.list_modified()] == list(files.list()) == ["a/x", "b/x"]


def test_what_is_missing_is_not_found(files: Files) -> None:
    assert not files.exists("a/x")
    files.delete("a/x")
    assert files.read_version("a/x") is None
    for read in (files.read_bytes, files.open, lambda key: files.local(key).__enter__()):
        with pytest.raises(NotFound, match="a/x"):
            read("a/x")


@pytest.mark.parametrize("name", NAMES)
def test_any_plain_name_is_a_key(files: Files, name: str) -> None:
    files.put_bytes(f"jobs/{name}", b"1")
    assert list(files.list("jobs/")) == [f"jobs/{name}"]
    assert files.read_bytes(f"jobs/{name}") == b"1"


@pytest.mark.parametrize(
    "key", ["", "/etc/passwd", "../x", "a/../b", "a//b", "a/./b", "a\\b", "a\0b", "a\nb", "x" * 256]
)
def test_an_unsafe_key_is_refused(files: Files, key: str) -> None:
    with pytest.raises(BadInput, match="key"):
        files.put_bytes(key, b"")


@given(st.text(max_size=300))
def test_a_safe_key_stays_below_its_root(key: str) -> None:
    try:
        safe = safe_key(key)
    except BadInput:
        return
    assert not safe.startswith("/")
    assert ".." not in safe.split("/")
    assert Path("/root", safe).is_relative_to("/root")


def test_compare_and_swap_writes_only_over_the_version_read(files: Files) -> None:
    first = files.put_if("m.json", b"1", None)
    with pytest.raises(Conflict):
        files.put_if("m.json", b"x", None)
    second = files.put_if("m.json", b"2", first)
    with pytest.raises(Conflict):
        files.put_if("m.json", b"x", first)
    assert files.read_version("m.json") == (b"2", second)


def test_of_racing_writers_exactly_one_wins(files: Files) -> None:
    version = files.put_if("m.json", b"0", None)
    start = threading.Barrier(8)
    won: list[int] = []

    def race(number: int) -> None:
        start.wait()
        try:
            files.put_if("m.json", str(number).encode(), version)
            won.append(number)
        except Conflict:
            pass

    threads = [threading.Thread(target=race, args=(number,)) for number in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert files.read_bytes("m.json") == str(won[0]).encode()


def test_a_lock_excludes_others_until_it_is_left(files: Files) -> None:
    with files.lock("job/1") as mine, files.lock("job/1", wait=False) as theirs, files.lock("job/2") as other:
        assert (mine, theirs, other) == (True, False, True)
    with files.lock("job/1", wait=False) as again:
        assert again
    assert list(files.list()) == []
