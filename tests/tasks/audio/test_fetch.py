"""Recordings on this machine and in S3, whatever they are called."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import boto3
import pytest
from moto.server import ThreadedMotoServer

from blocks.errors import BadAudio, BadInput, NotFound, StoreFailed, TooLarge, Unsupported
from blocks.settings import settings
from tasks.audio.fetch import fetch

CONTENT = bytes(range(256)) * 8000
MB = 1_000_000

NAMES = [
    "plain.wav",
    "two words.wav",
    "Cuộc họp giao ban thứ hai.mp3",
    "\"double\" and 'single'.wav",
    "line\nbreak\tand tab.wav",
    "-rf.wav",
    "100%25 ?query #fragment.wav",
    "concat:a|b.wav",
    "http:not-an-address.wav",
    "ố" * 85,
    ".hidden",
]


@pytest.mark.parametrize("name", NAMES)
async def test_any_file_name_works_as_path_and_as_url(tmp_path: Path, name: str) -> None:
    source = tmp_path / name
    source.write_bytes(CONTENT)
    for given in (str(source), f"file://{quote(str(source))}", f"FILE://localhost{quote(str(source))}", name):
        fetched = await fetch(given, tmp_path / "target", max_bytes=10 * MB)
        assert fetched.name == name
        assert fetched.sha256 == hashlib.sha256(CONTENT).hexdigest()
        assert fetched.size_bytes == len(CONTENT)
        assert (tmp_path / "target").read_bytes() == CONTENT


async def test_a_name_that_is_no_utf8_is_taken_and_shown_without_it(tmp_path: Path) -> None:
    source = os.fsencode(tmp_path) + b"/caf\xe9.wav"
    Path(os.fsdecode(source)).write_bytes(CONTENT)
    assert (await fetch(os.fsdecode(source), tmp_path / "target", max_bytes=10 * MB)).name == "caf�.wav"
    assert (await fetch(f"file://{tmp_path}/caf%E9.wav", tmp_path / "target", max_bytes=10 * MB)).name == "caf�.wav"


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("missing.wav", NotFound),
        ("file:///missing/at%20all.wav", NotFound),
        ("", BadInput),
        (".", BadInput),
        ("/", BadInput),
        ("null\0byte.wav", BadInput),
        ("x" * 300, BadInput),
        ("/dev/zero", BadInput),
        ("file://elsewhere/share/a.wav", BadInput),
        ("ftp://host/a.wav", BadInput),
        ("rtsp://host/a.wav", BadInput),
        ("s3://bucket-only", BadInput),
        ("s3:///key-only", BadInput),
    ],
)
async def test_what_is_no_file_is_refused(tmp_path: Path, source: str, error: type[Exception]) -> None:
    with pytest.raises(error) as caught:
        await fetch(source, tmp_path / "target", max_bytes=MB)
    assert type(caught.value) is error


async def test_a_pipe_nobody_writes_to_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.wav")
    with pytest.raises(BadInput, match="not a regular file"):
        await fetch(str(tmp_path / "pipe.wav"), tmp_path / "target", max_bytes=MB)


async def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.wav").touch()
    with pytest.raises(BadAudio, match=r"'empty.wav' is empty"):
        await fetch(str(tmp_path / "empty.wav"), tmp_path / "target", max_bytes=MB)


async def test_the_limit_is_exact(tmp_path: Path) -> None:
    source = tmp_path / "big.wav"
    source.write_bytes(CONTENT)
    await fetch(str(source), tmp_path / "target", max_bytes=len(CONTENT))
    with pytest.raises(TooLarge) as caught:
        await fetch(str(source), tmp_path / "target", max_bytes=len(CONTENT) - 1)
    assert "MAX_FILE_SIZE_MB" in caught.value.fix


async def test_a_sparse_giant_is_refused_before_it_fills_the_disk(tmp_path: Path) -> None:
    with (tmp_path / "giant.wav").open("wb") as stream:
        stream.truncate(1 << 40)
    with pytest.raises(TooLarge):
        await fetch(str(tmp_path / "giant.wav"), tmp_path / "target", max_bytes=3 * MB)
    assert (tmp_path / "target").stat().st_size <= 3 * MB


async def test_a_full_disk_is_the_stores_fault(tmp_path: Path) -> None:
    source = tmp_path / "sound.wav"
    source.write_bytes(CONTENT)
    with pytest.raises(StoreFailed, match="No space left"):
        await fetch(str(source), Path("/dev/full"), max_bytes=10 * MB)


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of a bucket on an S3 server of our own."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("S3_ENDPOINT_URL", f"http://{host}:{port}")
    settings.cache_clear()
    boto3.client("s3", endpoint_url=f"http://{host}:{port}").create_bucket(Bucket="recordings")
    yield "recordings"
    server.stop()


async def test_objects_are_fetched_and_measured(bucket: str, tmp_path: Path) -> None:
    key = "calls/thứ hai?50%.wav"
    boto3.client("s3", endpoint_url=str(settings().s3_endpoint_url)).put_object(Bucket=bucket, Key=key, Body=CONTENT)
    fetched = await fetch(f"s3://{bucket}/{key}", tmp_path / "target", max_bytes=10 * MB)
    assert fetched.name == "thứ hai?50%.wav"
    assert fetched.sha256 == hashlib.sha256(CONTENT).hexdigest()
    with pytest.raises(TooLarge):
        await fetch(f"s3://{bucket}/{key}", tmp_path / "target", max_bytes=len(CONTENT) - 1)
    for missing in (f"s3://{bucket}/other.wav", "s3://nobody/a.wav"):
        with pytest.raises(NotFound):
            await fetch(missing, tmp_path / "target", max_bytes=MB)
    with pytest.raises(BadInput):
        await fetch("s3://No_Bucket!/a.wav", tmp_path / "target", max_bytes=MB)


async def test_without_boto3_the_error_names_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    for name in ("boto3", "botocore", "botocore.config", "botocore.exceptions"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(Unsupported) as caught:
        await fetch("s3://bucket/key.wav", tmp_path / "target", max_bytes=MB)
    assert "pip install" in caught.value.fix
