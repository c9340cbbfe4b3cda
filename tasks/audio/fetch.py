"""Bring a recording from wherever it is to a local file."""

import asyncio
import os
import re
import stat
from collections.abc import AsyncGenerator, Generator
from contextlib import aclosing
from pathlib import Path
from urllib.parse import unquote_to_bytes

from blocks.errors import BadAudio, BadInput, NotFound, TimedOut
from blocks.model import Frozen
from blocks.progress import in_thread
from blocks.store import open_store
from tasks.audio.sink import CHUNK_BYTES, Sink

SCHEMES = ("file", "http", "https", "s3", "store")
ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
"""What begins like this is an address; anything else is a path."""

LONGEST_FETCH_S = 3600.0
"""A server that sends a byte now and then must not hold a worker for ever."""


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


async def fetch(source: str, target: Path, *, max_bytes: int, allow_private: bool = False) -> Fetched:
    """Copy a recording to a local file.

    Args:
        source: Path, `file://`, `http(s)://`, `s3://bucket/key`, or `store://key` for a file in our own store.
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
        TimedOut: not all of it came within LONGEST_FETCH_S.
        StoreFailed: the target cannot be written.
    """
    name, chunks = _open(source, max_bytes, allow_private)
    sink = Sink(target, max_bytes)
    try:
        async with asyncio.timeout(LONGEST_FETCH_S), aclosing(chunks):
            async for chunk in chunks:
                await in_thread(sink.write, chunk)
    except TimeoutError as error:
        raise TimedOut(
            f"{name!r} did not arrive within {LONGEST_FETCH_S:.0f} s", fix="copy it to this machine first"
        ) from error
    finally:
        digest = sink.close()
    if sink.size_bytes == 0:
        raise BadAudio(f"{name!r} is empty", fix="record or copy it again", filename=name)
    return Fetched(name=name, sha256=digest, size_bytes=sink.size_bytes)


async def fetch_text(source: str, *, max_bytes: int, allow_private: bool = False) -> tuple[str, str]:
    """Name and content of a text file, from wherever it is; `fetch` says which errors it raises.

    Raises:
        BadInput: it is no UTF-8.
    """
    with open_store().scratch("text") as path:
        fetched = await fetch(source, path, max_bytes=max_bytes, allow_private=allow_private)
        try:
            return fetched.name, (await in_thread(path.read_bytes)).decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise BadInput(
                f"{fetched.name!r} is no text in UTF-8", fix="save it as plain text in UTF-8", field="source"
            ) from error


def _open(source: str, max_bytes: int, allow_private: bool) -> tuple[str, AsyncGenerator[bytes]]:
    """The name of a source, and its content in pieces."""
    address = ADDRESS.match(source)
    if address is None:
        return _display_name(Path(source)), _read_path(Path(source))
    scheme = address[1].lower()
    if scheme == "file":
        path = _path_of(source)
        return _display_name(path), _read_path(path)
    if scheme == "s3":
        from tasks.audio.fetch_s3 import read_object

        return source.rsplit("/", 1)[-1], read_object(source, max_bytes)
    if scheme == "store":
        from tasks.audio.fetch_store import name_of_key, read_stored

        return name_of_key(source), read_stored(source)
    if scheme in SCHEMES:
        from tasks.audio.fetch_http import name_of, read_url

        return name_of(source), read_url(source, max_bytes, allow_private)
    raise BadInput(
        f"{scheme}:// addresses are not taken",
        fix=f"use a path or one of {', '.join(SCHEMES)}",
        field="source",
    )


def _path_of(source: str) -> Path:
    """The path of a `file://` URL; a `?` or `#` that should have been percent-encoded belongs to it."""
    host, slash, path = source[len("file://") :].partition("/")
    if host.lower() not in ("", "localhost"):
        raise BadInput(f"{source} names another machine", fix="use file:///path", field="source")
    return Path(os.fsdecode(unquote_to_bytes(slash + path)))


def _display_name(path: Path) -> str:
    """The file's name; bytes of it that are no UTF-8 become replacement characters."""
    return os.fsencode(path.name).decode(errors="replace")


async def _read_path(path: Path) -> AsyncGenerator[bytes]:
    """The content of a regular file; anything else is refused without waiting for it."""
    chunks = _chunks(path)
    while chunk := await in_thread(lambda: next(chunks, b"")):
        yield chunk


def _chunks(path: Path) -> Generator[bytes]:
    try:
        with open(path, "rb", opener=_open_regular) as stream:
            while chunk := stream.read(CHUNK_BYTES):
                yield chunk
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotFound(f"there is no file {str(path)!r}", fix="check the path", field="source") from error
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        raise BadInput(
            f"cannot read {str(path)!r}: {getattr(error, 'strerror', None) or error}",
            fix="check its permissions and its name",
            field="source",
        ) from error


def _open_regular(path: str, flags: int) -> int:
    """Open a regular file only, without waiting: opening a FIFO that nobody writes to would hang."""
    descriptor = os.open(path, flags | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise BadInput(f"{path!r} is not a regular file", fix="name a recording", field="source")
    return descriptor
