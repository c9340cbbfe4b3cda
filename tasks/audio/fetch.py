"""Bring a recording from wherever it is to a local file."""

import hashlib
import os
import stat
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from blocks.errors import BadAudio, BadInput, NotFound, TooLarge
from blocks.model import Frozen
from blocks.progress import in_thread

CHUNK_BYTES = 1 << 20
SCHEMES = ("file", "http", "https", "s3")


class Fetched(Frozen):
    """A recording that was copied.

    Attributes:
        name: Its file name as a person would see it; any characters may occur.
        sha256: Hash of its content, hexadecimal.
        size_bytes: Its length.
    """

    name: str
    sha256: str
    size_bytes: int


class Sink:
    """A local file being written, hashed and measured.

    Args:
        target: Where to write.
        max_bytes: Longest content taken.
    """

    def __init__(self, target: Path, max_bytes: int) -> None:
        self._stream = target.open("wb")
        self._max_bytes = max_bytes
        self._digest = hashlib.sha256()
        self.size_bytes = 0

    def write(self, chunk: bytes) -> None:
        """Take more content. Raises `TooLarge` as soon as it is too much."""
        self.size_bytes += len(chunk)
        if self.size_bytes > self._max_bytes:
            raise too_large(self._max_bytes)
        self._digest.update(chunk)
        self._stream.write(chunk)

    def close(self) -> str:
        """Finish; returns the sha256 of the content."""
        self._stream.close()
        return self._digest.hexdigest()


async def fetch(source: str, target: Path, *, max_bytes: int, allow_private: bool = False) -> Fetched:
    """Copy a recording to a local file.

    Args:
        source: Path, `file://`, `http(s)://` or `s3://bucket/key`.
        target: The file to write.
        max_bytes: Longest file taken; more is refused while it streams in.
        allow_private: Whether http addresses may lead to private networks and this machine.

    Raises:
        NotFound: nothing is there.
        BadInput: a folder, a device, or an address of another kind.
        NotAllowed: the address leads to a private network.
        TooLarge: over `max_bytes`.
        BadAudio: empty.
        EngineUnavailable: the server cannot be reached for the moment.
    """
    name, chunks = _open(source, max_bytes, allow_private)
    sink = Sink(target, max_bytes)
    try:
        async for chunk in chunks:
            await in_thread(sink.write, chunk)
    finally:
        digest = sink.close()
    if sink.size_bytes == 0:
        raise BadAudio(f"{name!r} is empty", fix="record or copy it again", filename=name)
    return Fetched(name=name, sha256=digest, size_bytes=sink.size_bytes)


def _open(source: str, max_bytes: int, allow_private: bool) -> tuple[str, AsyncIterator[bytes]]:
    """The name of a source, and its content in pieces."""
    scheme, separator, _ = source.partition("://")
    if not separator:
        return Path(source).name, _read_path(Path(source))
    if scheme == "file":
        path = _path_of(source)
        return path.name, _read_path(path)
    name = unquote(urlsplit(source).path).rsplit("/", 1)[-1] or source
    if scheme == "s3":
        from tasks.audio.fetch_s3 import read_object

        return name, read_object(source, max_bytes)
    if scheme in SCHEMES:
        from tasks.audio.fetch_http import read_url

        return name, read_url(source, max_bytes, allow_private)
    raise BadInput(
        f"{scheme}:// addresses are not taken",
        fix=f"use a path or one of {', '.join(SCHEMES)}",
        field="source",
    )


def _path_of(source: str) -> Path:
    parts = urlsplit(source)
    if parts.netloc not in ("", "localhost"):
        raise BadInput(f"{source} names another machine", fix="use file:///path", field="source")
    return Path(url2pathname(parts.path + (f"?{parts.query}" if parts.query else "")))


async def _read_path(path: Path) -> AsyncIterator[bytes]:
    """The content of a regular file; anything else is refused without waiting for it."""
    chunks = _chunks(path)
    while chunk := await in_thread(next, chunks, b""):
        yield chunk


def _chunks(path: Path) -> Iterator[bytes]:
    try:
        # O_NONBLOCK: opening a FIFO that nobody writes to would wait for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotFound(f"there is no file {str(path)!r}", fix="check the path", field="source") from error
    except OSError as error:
        raise BadInput(
            f"cannot read {str(path)!r}: {error.strerror}",
            fix="check its permissions and its name",
            field="source",
        ) from error
    with os.fdopen(descriptor, "rb") as stream:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise BadInput(f"{str(path)!r} is not a regular file", fix="name a recording", field="source")
        while chunk := stream.read(CHUNK_BYTES):
            yield chunk


def too_large(max_bytes: int) -> TooLarge:
    """The error for a file over the size limit."""
    return TooLarge(
        f"the file is over {max_bytes / 1_000_000:g} MB", fix="cut or compress it, or raise MAX_FILE_SIZE_MB"
    )
