"""The end of a log: its latest record, and what a write that was cut off has left after it."""

import hashlib
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from blocks.audit.chain import is_sealed, record_of
from blocks.audit.days import days_of, log_of
from blocks.audit.entry import BEGINNING, Head
from blocks.errors import StoreFailed
from blocks.whole_file import write_whole

CHUNK_BYTES = 65_536


LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Tail:
    """Where the next record goes.

    Attributes:
        head: The latest record.
        at: When that happened, UTC.
        day: Its day; empty before the first record.
        size: Bytes of that day's file.
        last: Where in it the latest record begins.
    """

    head: Head = BEGINNING
    at: datetime = LONG_AGO
    day: str = ""
    size: int = 0
    last: int = -1


def last_line(path: Path) -> tuple[bytes, int]:
    """The last whole line of a file and where it begins; empty and -1 when there is none."""
    with path.open("rb") as stream:
        place = stream.seek(0, os.SEEK_END)
        content = b""
        while place > 0:
            start = max(0, place - CHUNK_BYTES)
            stream.seek(start)
            content = stream.read(place - start) + content
            place = start
            end = content.rfind(b"\n") + 1
            begin = content.rfind(b"\n", 0, max(0, end - 1)) + 1
            if end and (begin or place == 0):
                return content[begin:end], place + begin
    return b"", -1


def read_tail(folder: Path, day: str, key: bytes) -> Tail:
    """The end of a day's file, which must be whole.

    Raises:
        StoreFailed: its last record is damaged, or was sealed with another key.
    """
    path = log_of(folder, day)
    line, last = last_line(path)
    record = record_of(line)
    if record is None or not is_sealed(key, record):
        raise StoreFailed(
            f"the last record of {path} is not as it was written, or was sealed with another key",
            fix="see what `c500 audit verify` says; put the file or the key back, or begin anew with an empty folder",
            path=str(path),
        )
    head = Head(seq=record["seq"], hash=record["hash"])
    return Tail(head, datetime.fromisoformat(record["at"]), day, last + len(line), last)


def move_aside(folder: Path, day: str) -> bool:
    """Take what stands after the last line break of a day's file into a file of its own; whether there was any.

    A file that has no whole line goes.
    """
    path = log_of(folder, day)
    line, last = last_line(path)
    whole = last + len(line) if line else 0
    with path.open("rb+") as stream:
        stream.seek(whole)
        rest = stream.read()
        if rest:
            write_whole(folder / f"{day}.{whole}.{hashlib.sha256(rest).hexdigest()[:16]}.torn", rest)
            stream.truncate(whole)
            os.fsync(stream.fileno())
    if not whole:
        path.unlink()
    return bool(rest)


def clear_end(folder: Path, day: str) -> tuple[str, bool]:
    """Have the log end with a whole record.

    Args:
        folder: Of the log.
        day: Its latest.

    Returns:
        The latest day that has a record, and whether a write that was cut off has been moved aside.
    """
    was_torn = move_aside(folder, day)
    while not log_of(folder, day).exists() and (days := days_of(folder)):
        day = days[-1]
        was_torn |= move_aside(folder, day)
    return (day if log_of(folder, day).exists() else ""), was_torn


def torn_files(folder: Path) -> list[Path]:
    """What was moved aside."""
    return sorted(folder.glob("*.torn"))


def facts_of(torn: Path) -> dict[str, Any]:
    """What a record tells of a file with a write that was cut off."""
    content = torn.read_bytes()
    return {"file": torn.name, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
