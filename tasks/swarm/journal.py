"""A file of JSON lines that only grows: what was appended stays, however the process ends."""

import json
import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast

import orjson

from blocks.errors import BadInput, StoreFailed

Record = dict[str, Any]
"""A line; its first field is `key`."""

BEGINNING = b'{"key":"'
LONGEST_LINE_BYTES = 128 * 2**20


class Journal:
    """Appends lines, each in one write: a process that is killed leaves all it appended but perhaps its last line.

    Args:
        path: The file; made when it is not there. It must have been repaired, and nobody else may write to it.

    Raises:
        StoreFailed: it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with writing(path):
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
            self._size = self._synced = os.fstat(self._file).st_size

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return self._size

    def append(self, record: Record) -> int:
        """Write a line; it outlives this process from now on, and a power cut after the next `sync`.

        Returns:
            Its offset.
        """
        line = line_of(record)
        with writing(self.path):
            try:
                written = 0
                while written < len(line):
                    written += os.write(self._file, line[written:])
            except OSError:
                os.ftruncate(self._file, self._size)  # half a line would spoil the next one
                raise
        self._size += len(line)
        return self._size - len(line)

    def sync(self) -> None:
        """Have the disk write what was appended. Blocks."""
        if self._synced != self._size:
            self._synced = self._size
            with writing(self.path):
                os.fdatasync(self._file)

    def close(self) -> None:
        """Sync, and let go of the file."""
        try:
            self.sync()
        finally:
            os.close(self._file)


def read_lines(path: Path, since: int = 0) -> Iterator[tuple[int, Record | None]]:
    """Offset and record of each line from an offset on, None for what is no whole record; nothing without a file."""
    if not path.exists():
        return
    offset = since
    with path.open("rb") as file:
        file.seek(since)
        for line in iter(partial(file.readline, LONGEST_LINE_BYTES), b""):
            yield offset, _record(line)
            offset += len(line)


def line_at(path: Path, offset: int) -> Record | None:
    """The record of the line that begins at an offset."""
    with path.open("rb") as file:
        file.seek(offset)
        return _record(file.readline(LONGEST_LINE_BYTES))


def records(path: Path, *, repair: bool, since: int = 0) -> Iterator[tuple[int, Record]]:
    """Offset and record of each line; a torn end, as a killed process or a power cut leaves it, is passed over.

    Args:
        path: The file.
        repair: Whether to cut a torn end off.
        since: Offset of the first line to read.

    Raises:
        BadInput: it was not written by a swarm.
    """
    torn: int | None = None
    for offset, record in read_lines(path, since):
        if record is None:
            torn = offset if torn is None else torn
        elif torn is not None:
            raise _foreign(path)
        else:
            yield offset, record
    if torn is None:
        return
    if torn == 0 and not _begins_like_ours(path):
        raise _foreign(path)
    if repair:
        os.truncate(path, torn)


@contextmanager
def writing(path: Path) -> Generator[None]:
    """Raise `StoreFailed` when the file cannot be written."""
    try:
        yield
    except OSError as error:
        raise StoreFailed(
            f"{path} cannot be written: {error.strerror or error}",
            fix="make room or correct the permissions, and run it again: what is done is kept",
        ) from error


def line_of(record: Record) -> bytes:
    """A record as a line; what a model wrote may hold numbers and halves of characters that orjson refuses."""
    try:
        return orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE)
    except TypeError:
        text = json.dumps(record, ensure_ascii=False, separators=(",", ":"))
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode() + b"\n"


def _record(line: bytes) -> Record | None:
    if not line.endswith(b"\n"):
        return None
    try:
        record = json.loads(line)  # orjson would make floats of numbers beyond 64 bits
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict):
        return None
    fields = cast(Record, record)
    return fields if isinstance(fields.get("key"), str) else None


def _begins_like_ours(path: Path) -> bool:
    with path.open("rb") as file:
        beginning = file.read(len(BEGINNING)).rstrip(b"\0")
    return BEGINNING.startswith(beginning)


def _foreign(path: Path) -> BadInput:
    return BadInput(f"{path} was not written by a swarm", fix="name another output", field="output")
