"""Log files as blocks of whole lines, whatever their compression and encoding, in flat memory."""

import gzip
import os
import stat
import subprocess
import zlib
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol, cast

from blocks.errors import BadInput, EngineFailed, NotAllowed, NotFound, Unsupported

BLOCK_BYTES = 1 << 20
"""Larger ones leave the processor's cache: masking is then 10 to 15 % slower (measured)."""

LINE_BYTES = 1 << 20
"""Of a longer line the rest is passed over."""

BOMS = (
    (b"\xff\xfe\x00\x00", "utf-32-le"),
    (b"\x00\x00\xfe\xff", "utf-32-be"),
    (b"\xef\xbb\xbf", "utf-8"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
)
WIDE = {"utf-16-le": 2, "utf-16-be": 2, "utf-32-le": 4, "utf-32-be": 4}
LOOKED_AT_BYTES = 8_000
"""Text has no NUL byte in them, as git has it."""

NARROW = {"utf-8", "ascii", "utf_8", "us-ascii"}


class Readable(Protocol):
    """What bytes can be read of."""

    def read(self, size: int = ..., /) -> bytes:
        """At most so many; none at the end."""
        ...


@dataclass(frozen=True)
class Block:
    """Some whole lines.

    Attributes:
        content: UTF-8, or near it; each line ends with a line feed.
        end: Offset behind it in the uncompressed file, in bytes.
        at: How many bytes of the file on the disk were read.
        cut_lines: How many of its lines were longer than `LINE_BYTES`.
    """

    content: bytes
    end: int
    at: int
    cut_lines: int = 0


@dataclass(frozen=True)
class LogFile:
    """A log file, opened.

    Attributes:
        path: Where it lies.
        size: Its bytes on the disk.
        encoding: As which its lines are read.
        stream: Its uncompressed bytes, from `start` on.
        start: Offset in the uncompressed file, in bytes.
        raw: The file on the disk.
        whole: Whether what has no line feed at its end is a line; one that grows may still be writing it.
    """

    path: Path
    size: int
    encoding: str
    stream: Readable
    start: int
    raw: BinaryIO
    whole: bool

    def blocks(self) -> Iterator[Block]:
        """Its lines.

        Raises:
            EngineFailed: it is damaged, or was cut off; what was before that has been given.
        """
        width = WIDE.get(self.encoding, 1)
        feed = "\n".encode(self.encoding)
        rest, offset, dropping, cut_lines = b"", self.start, False, 0
        while chunk := self.read(BLOCK_BYTES):
            rest += chunk
            cut = _behind_last(rest, feed, width)
            if dropping:
                first = _behind_first(rest, feed, width)
                offset += first or (len(rest) - len(rest) % width)
                rest = rest[first or (len(rest) - len(rest) % width) :]
                dropping = first == 0
                cut = _behind_last(rest, feed, width)
            if cut:
                yield self._block(rest[:cut], offset + cut, cut_lines)
                offset, rest, cut_lines = offset + cut, rest[cut:], 0
            if len(rest) > LINE_BYTES:
                yield self._block(rest[:LINE_BYTES] + feed, offset + LINE_BYTES, cut_lines + 1)
                offset, rest, cut_lines, dropping = offset + LINE_BYTES, rest[LINE_BYTES:], 0, True
        if rest and self.whole and not dropping:
            yield self._block(rest + feed, offset + len(rest), cut_lines)

    def _block(self, content: bytes, end: int, cut_lines: int) -> Block:
        if self.encoding not in NARROW:
            content = content.decode(self.encoding, "replace").encode("utf-8", "replace")
        return Block(content, end, self.raw.tell(), cut_lines)

    def read(self, size: int) -> bytes:
        """Some of its uncompressed bytes; none at the end. Raises `EngineFailed`: it is damaged, or was cut off."""
        try:
            return self.stream.read(size)
        except (EOFError, OSError, zlib.error) as error:
            raise EngineFailed(
                f"{self.path.name} is damaged or not written to its end: {error}",
                fix="what was before that was analysed; look at the file",
            ) from error


@contextmanager
def opened(path: Path, *, start: int = 0, encoding: str | None = None, whole: bool = True) -> Generator[LogFile]:
    """A log file, plain, `.gz` or `.zst`.

    Args:
        path: Where it lies; a regular file.
        start: Offset in the uncompressed file from which on it is read.
        encoding: Of its text; None: by its first bytes, else UTF-8.
        whole: Whether what has no line feed at its end is a line.

    Raises:
        NotFound, NotAllowed, BadInput: it cannot be read, or is no text.
        Unsupported: nothing here can take it apart.
    """
    with _raw(path) as raw:
        size = os.fstat(raw.fileno()).st_size
        with _uncompressed(path, raw) as stream:
            first = stream.read(4)
            found, skipped = _sniffed(first, encoding)
            is_wide = found.startswith(("utf-16", "utf-32"))
            if not is_wide and b"\0" in first + _next_of(stream):
                raise BadInput(
                    f"{path} is no text: there are NUL bytes in it",
                    fix="give a log file; of text without a mark name the encoding, as --encoding utf-16-le",
                    field="paths",
                )
        raw.seek(0)
        with _uncompressed(path, raw) as stream:
            begin = max(start, skipped)
            _skip(stream, begin)
            yield LogFile(path, size, found, stream, begin, raw, whole)


@contextmanager
def _raw(path: Path) -> Generator[BinaryIO]:
    try:
        # Not blocking: a named pipe would wait for its writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotFound(f"there is no file {path}", fix="check the path", field="paths") from error
    except OSError as error:
        raise NotAllowed(f"{path} cannot be read: {error.strerror}", fix="look at its rights", field="paths") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise BadInput(f"{path} is no regular file", fix="give the path of a log file", field="paths")
    with os.fdopen(descriptor, "rb", buffering=0) as raw:
        yield cast(BinaryIO, raw)


@contextmanager
def _uncompressed(path: Path, raw: BinaryIO) -> Generator[Readable]:
    if path.suffix == ".gz":
        with gzip.GzipFile(fileobj=raw) as stream:
            yield _FirstFaults(stream, path)
        return
    if path.suffix != ".zst":
        yield raw
        return
    try:
        unpacking = subprocess.Popen(
            ["zstd", "-dcq"], stdin=raw, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, close_fds=True
        )
    except FileNotFoundError as error:
        raise Unsupported(
            f"{path} needs the program zstd", fix="install zstd, or unpack the file", field="paths"
        ) from error
    assert unpacking.stdout is not None  # noqa: S101 - a pipe, as asked for
    with unpacking:
        try:
            yield _Unpacked(unpacking, unpacking.stdout)
        finally:
            unpacking.kill()


class _FirstFaults:
    """Tells damage from the first byte on as damage."""

    def __init__(self, stream: Readable, path: Path) -> None:
        self._stream, self._path, self._begun = stream, path, False

    def read(self, size: int = -1, /) -> bytes:
        try:
            content = self._stream.read(size)
        except (EOFError, OSError, zlib.error) as error:
            if self._begun:
                raise
            raise BadInput(
                f"{self._path} is no gzip file: {error}", fix="look at the file, or rename it", field="paths"
            ) from error
        self._begun = True
        return content


class _Unpacked:
    """What zstd unpacks; its failure is told at the end."""

    def __init__(self, process: "subprocess.Popen[bytes]", pipe: Readable) -> None:
        self._process, self._pipe = process, pipe

    def read(self, size: int = -1, /) -> bytes:
        if content := self._pipe.read(size):
            return content
        if (code := self._process.wait()) != 0:
            raise EOFError(f"zstd ended with {code}")
        return b""


def _sniffed(first: bytes, encoding: str | None) -> tuple[str, int]:
    """The encoding, and how many bytes of mark stand before the text."""
    for mark, name in BOMS:
        if first.startswith(mark) and (encoding is None or encoding.replace("_", "-").startswith(name[:6])):
            return name, len(mark)
    return encoding or "utf-8", 0


def _next_of(stream: Readable) -> bytes:
    """Some bytes more; none where it is damaged, which is told when it is read."""
    try:
        return stream.read(LOOKED_AT_BYTES)
    except (EOFError, OSError, zlib.error):
        return b""


def _skip(stream: Readable, count: int) -> None:
    if isinstance(stream, _FirstFaults | _Unpacked):
        while count > 0 and (passed := stream.read(min(count, BLOCK_BYTES))):
            count -= len(passed)
    else:
        cast(BinaryIO, stream).seek(count)


def _behind_last(content: bytes, feed: bytes, width: int) -> int:
    found = content.rfind(feed)
    while found >= 0 and found % width:
        found = content.rfind(feed, 0, found + len(feed) - 1)
    return found + width if found >= 0 else 0


def _behind_first(content: bytes, feed: bytes, width: int) -> int:
    found = content.find(feed)
    while found >= 0 and found % width:
        found = content.find(feed, found + 1)
    return found + width if found >= 0 else 0
