"""Recordings that lie in our own store."""

import hashlib
import tracemalloc
from pathlib import Path

import pytest

from blocks.errors import BadAudio, BadInput, NotFound, TooLarge
from blocks.store import open_store
from tasks.audio.fetch import fetch

CONTENT = bytes(range(256)) * 80_000
MB = 1_000_000


async def test_an_upload_is_fetched_by_its_key(tmp_path: Path) -> None:
    open_store().put_bytes("uploads/1/Cuộc họp.mp3", CONTENT)
    fetched = await fetch("store://uploads/1/Cuộc họp.mp3", tmp_path / "target", max_bytes=100 * MB)
    assert (fetched.name, fetched.size_bytes) == ("Cuộc họp.mp3", len(CONTENT))
    assert fetched.sha256 == hashlib.sha256(CONTENT).hexdigest()


async def test_an_upload_is_never_whole_in_memory(tmp_path: Path) -> None:
    open_store().put_bytes("uploads/1/long.wav", CONTENT)
    tracemalloc.start()
    await fetch("store://uploads/1/long.wav", tmp_path / "target", max_bytes=100 * MB)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6 * MB < len(CONTENT)


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("store://uploads/2/missing.wav", NotFound),
        ("store://", BadInput),
        ("store://../../etc/passwd", BadInput),
        ("store:///etc/passwd", BadInput),
        ("STORE://uploads/1/x.wav?y", NotFound),
    ],
)
async def test_what_is_not_in_the_store_is_refused(tmp_path: Path, source: str, error: type[Exception]) -> None:
    open_store().put_bytes("uploads/1/x.wav", b"x")
    with pytest.raises(error):
        await fetch(source, tmp_path / "target", max_bytes=MB)


async def test_size_limits_hold(tmp_path: Path) -> None:
    open_store().put_bytes("uploads/1/long.wav", CONTENT)
    open_store().put_bytes("uploads/1/empty.wav", b"")
    with pytest.raises(TooLarge):
        await fetch("store://uploads/1/long.wav", tmp_path / "target", max_bytes=MB)
    with pytest.raises(BadAudio, match="empty"):
        await fetch("store://uploads/1/empty.wav", tmp_path / "target", max_bytes=MB)
