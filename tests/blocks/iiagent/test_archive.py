"""The archive of a session reads to its last whole part, whatever a crash left of it."""

import gzip
from pathlib import Path

import pytest

from blocks.iiagent.archive import FILE, Archive, read_archive


async def written(folder: Path, *texts: str) -> None:
    archive = Archive(folder)
    for text in texts:
        archive.keep("socket", {"type": "x", "content": {"text": text}})
        await archive.flush()


def texts(folder: Path) -> list[str]:
    return [line["frame"]["content"]["text"] for line in read_archive(folder)]


async def test_what_was_kept_is_read_in_its_order(tmp_path: Path) -> None:
    await written(tmp_path, "một", "hai")
    await written(tmp_path, "ba")
    assert texts(tmp_path) == ["một", "hai", "ba"]
    assert len(gzip.decompress((tmp_path / FILE).read_bytes()).splitlines()) == 3
    assert (tmp_path / FILE).stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("lost", [1, 8, 20])
async def test_a_torn_end_spoils_nothing_before_or_after_it(tmp_path: Path, lost: int) -> None:
    await written(tmp_path, "a" * 100, "b" * 100)
    whole = (tmp_path / FILE).read_bytes()
    (tmp_path / FILE).write_bytes(whole[:-lost])
    assert texts(tmp_path)[0] == "a" * 100
    await written(tmp_path, "c")
    assert texts(tmp_path) == ["a" * 100, "c"]


async def test_rubbish_at_the_end_is_dropped(tmp_path: Path) -> None:
    await written(tmp_path, "a")
    with (tmp_path / FILE).open("ab") as stream:
        stream.write(b"\x00" * 9)
    await written(tmp_path, "b")
    assert texts(tmp_path) == ["a", "b"]


async def test_there_may_be_none(tmp_path: Path) -> None:
    assert list(read_archive(tmp_path)) == []
    await Archive(tmp_path).flush()
    assert not (tmp_path / FILE).exists()
