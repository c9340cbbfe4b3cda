"""Archives are unpacked below one folder, and bombs stop at the caps before anything is written."""

import io
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.errors import BadInput, C500Error, TooLarge
from blocks.iiagent.unzip import MOST_INDEX_BYTES, UnzipLimits, Unzipped, unzip
from tests.fakes.iiagent.hostile import HOSTILE_NAMES, bomb, climbing_zip

KIB = 1024
MIB = 1 << 20


def packed(*members: tuple[str | zipfile.ZipInfo, bytes], how: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", how) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return stream.getvalue()


def raw(*members: tuple[bytes, bytes], overlapping: bool = False, size_told: int | None = None) -> bytes:
    """An archive written by hand: names of any bytes, sizes that lie, all members at the same place."""
    body, index = bytearray(), bytearray()
    for name, content in members:
        squeezed = zlib.compress(content, 9)[2:-4]
        told = len(content) if size_told is None else size_told
        facts = struct.pack("<HHHHHLLLHH", 20, 0, 8, 0, 0, zlib.crc32(content), len(squeezed), told, len(name), 0)
        at = 0 if overlapping else len(body)
        if not (overlapping and body):
            body += b"PK\x03\x04" + facts + name + squeezed
        index += b"PK\x01\x02" + struct.pack("<H", 20) + facts + struct.pack("<HHHLL", 0, 0, 0, 0, at) + name
    count = len(members)
    return bytes(body + index) + b"PK\x05\x06" + struct.pack("<HHHHLLH", 0, 0, count, count, len(index), len(body), 0)


def unpack(tmp_path: Path, content: bytes, **limits: Any) -> Unzipped:
    archive = tmp_path / "a.zip"
    archive.write_bytes(content)
    return unzip(archive, tmp_path / "into", UnzipLimits(**limits))


def files_below(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_files_are_unpacked_and_archives_within_stay_packed(tmp_path: Path) -> None:
    inner = packed(("deep.txt", b"deep"))
    done = unpack(tmp_path, packed(("out/", b""), ("out/báo cáo.md", b"x"), ("inner.zip", inner)))
    assert done.files == ("out/báo cáo.md", "inner.zip")
    assert files_below(tmp_path / "into") == {"out/báo cáo.md": b"x", "inner.zip": inner}
    assert not (tmp_path / "into" / ".parts").exists()


def test_members_that_climb_out_are_left_out(tmp_path: Path) -> None:
    packed = climbing_zip()  # it has the time in it
    done = unpack(tmp_path, packed)
    assert done.files == ("good.txt",)
    assert {refusal.reason for refusal in done.refused} == {"outside", "backslash"}
    assert files_below(tmp_path) == {"a.zip": packed, "into/good.txt": b"in"}


@given(st.lists(st.one_of(st.sampled_from(HOSTILE_NAMES), st.text(max_size=20)), max_size=5))
def test_no_name_of_a_member_leaves_the_folder(tmp_path_factory: pytest.TempPathFactory, names: list[str]) -> None:
    root = tmp_path_factory.mktemp("root")
    members = [(name.encode("cp437", "replace")[:300] or b"x", b"content") for name in names]
    done = unpack(root, raw(*members))
    written = {path for path in root.rglob("*") if path.is_file()} - {root / "a.zip"}
    assert written == {root / "into" / name for name in done.files}


def test_names_are_looked_at_as_they_stand_and_not_up_to_a_nul(tmp_path: Path) -> None:
    done = unpack(tmp_path, raw((b"a.txt\0.exe", b"x")))
    assert [refusal.reason for refusal in done.refused] == ["characters"]


def test_only_plain_files_that_can_be_unpacked_within_bounds_are_taken(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    tight = zipfile.ZipInfo("tight.txt")
    tight.compress_type = zipfile.ZIP_BZIP2
    tighter = zipfile.ZipInfo("tighter.txt")
    tighter.compress_type = zipfile.ZIP_LZMA
    content = bytearray(packed((link, b"/etc/passwd"), (tight, b"x"), (tighter, b"x"), ("a", b"x"), ("secret", b"y")))
    content[content.rindex(b"secret") - 46 + 8] |= 1  # encrypted, says the index
    done = unpack(tmp_path, bytes(content))
    assert done.files == ("a",)
    assert [refusal.name for refusal in done.refused] == ["link", "tight.txt", "tighter.txt", "secret"]
    assert {refusal.reason for refusal in done.refused} == {"refused"}


def test_twins_are_not_written_over_each_other(tmp_path: Path) -> None:
    done = unpack(tmp_path, raw((b"a.txt", b"1"), (b"A.TXT", b"2"), (b"a.txt", b"3"), (b".parts/x", b"4")))
    assert files_below(tmp_path / "into") == {"a.txt": b"1"}
    assert [refusal.reason for refusal in done.refused] == ["twin"] * 3


def many() -> bytes:
    """An archive whose index alone would take much memory."""
    name = b"x" * 100
    return raw(*[(name, b"")] * (MOST_INDEX_BYTES // (46 + len(name)) + 1), overlapping=True)


BOMBS: dict[str, tuple[Callable[[], bytes], dict[str, Any], str]] = {
    "bomb": (bomb, {}, "ratio"),
    "count": (lambda: packed(*[(f"{n}", b"x") for n in range(11)]), {"members": 10}, "members"),
    "file": (lambda: packed(("a", bytes(2 * KIB))), {"file_bytes": KIB}, "file_bytes"),
    "total": (lambda: packed(("a", bytes(KIB)), ("b", bytes(KIB))), {"total_bytes": KIB + 1}, "total_bytes"),
    "ratio": (lambda: packed(*[(f"{n}", bytes(100 * KIB)) for n in range(20)]), {"ratio": 50}, "ratio"),
    "index": (many, {"members": 1_000_000}, "members"),
}


@pytest.mark.parametrize("kind", BOMBS)
def test_caps_hold_before_anything_is_written(tmp_path: Path, kind: str) -> None:
    content, limits, field = BOMBS[kind]
    with pytest.raises(TooLarge) as refused:
        unpack(tmp_path, content(), **limits)
    assert refused.value.details["field"] == field
    assert not (tmp_path / "into").exists()


def test_members_that_share_their_bytes_are_not_unpacked(tmp_path: Path) -> None:
    content = raw(*[(b"a%d" % n, b"content") for n in range(9)], overlapping=True)
    with pytest.raises(BadInput, match="overlap"):
        unpack(tmp_path, content)
    assert not (tmp_path / "into").exists()


def test_a_member_that_tells_less_than_it_holds_gives_no_more(tmp_path: Path) -> None:
    done = unpack(tmp_path, raw((b"liar.bin", bytes(50 * MIB)), size_told=1000), file_bytes=MIB)
    assert done.files == ()
    assert [refusal.reason for refusal in done.refused] == ["refused"]
    assert files_below(tmp_path / "into") == {}


def test_what_lies_there_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "into").mkdir()
    (tmp_path / "into" / "out").symlink_to(tmp_path / "outside")
    done = unpack(tmp_path, packed(("out/a", b"x")))
    assert [refusal.reason for refusal in done.refused] == ["blocked"]
    assert files_below(tmp_path / "outside") == {}


# Named, as an archive holds the time at which each process made it: workers must collect the same tests.
@pytest.mark.parametrize(
    "content",
    [b"", b"PK\x05\x06", b"no zip at all", packed(("a", b"x"))[:-5]],
    ids=["empty", "only its end", "text", "cut short"],
)
def test_what_is_no_archive_is_told(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(BadInput) as refused:
        unpack(tmp_path, content)
    assert refused.value.details["field"] == "archive"


@given(st.data())
def test_a_damaged_archive_ends_with_an_error_of_ours_or_refusals(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    content = bytearray(packed(("a", b"one" * 100), ("b/c", b"two" * 100)))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    root = tmp_path_factory.mktemp("root")
    try:
        done = unpack(root, bytes(content))
    except C500Error:
        return
    assert set(files_below(root / "into")) == set(done.files) if (root / "into").exists() else not done.files
