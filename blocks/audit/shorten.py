"""Taking the oldest days of a log away, so that what is left still proves itself."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from blocks.audit.blank import Wanted
from blocks.audit.chain import record_of
from blocks.audit.checkpoint import FILE, Checkpoint, put_checkpoint, read_checkpoint
from blocks.audit.days import days_of, disk_errors, log_of
from blocks.audit.entry import Entry, Head
from blocks.audit.log import OWN_RUN, AuditLog
from blocks.audit.tail import last_line
from blocks.audit.verdict import AuditBroken, verify
from blocks.errors import StoreFailed
from blocks.model import Frozen
from blocks.whole_file import sync_folder


class Shortening(Frozen):
    """What of a log is due, or was taken away.

    Attributes:
        days: The days, oldest first.
        size_bytes: Of their files.
        last: The last record of them; None where none is due.
        held_on: The first day that would be due, and holds what must stay; it keeps those after it, too.
    """

    days: tuple[str, ...] = ()
    size_bytes: int = 0
    last: Checkpoint | None = None
    held_on: str | None = None


def due(folder: Path, key: bytes, before: str, holds: Wanted) -> Shortening:
    """The days that may go: the oldest ones only, as a chain has no gaps. The latest day stays.

    Args:
        folder: Of the log.
        key: Seals it.
        before: The first day that stays, `YYYY-MM-DD`.
        holds: Whether an entry, as JSON, must stay, and with it all after it.

    Raises:
        StoreFailed: it cannot be read.
    """
    with disk_errors(folder):
        days, held_on = list[str](), None
        for day in days_of(folder)[:-1]:
            if day >= before:
                break
            if any(holds(entry) for entry in _entries(folder, day)):
                held_on = day
                break
            days.append(day)
        size = sum(path.stat().st_size for day in days for path in _files(folder, day) if path.exists())
        last = _last(folder, days[-1]) if days else None
        return Shortening(days=tuple(days), size_bytes=size, last=last, held_on=held_on)


def shorten(log: AuditLog, folder: Path, key: bytes, anchors: tuple[Head, ...], what: Shortening) -> Shortening:
    """Take days away that are `due`.

    In this order, so that a process killed anywhere leaves a log that verifies: a sealed record says what goes; a
    sealed checkpoint says after which record the log begins; then the files go, oldest first. What a killed call left
    of them goes first.

    Args:
        log: The log, to write the record.
        folder: Where it lies.
        key: Seals it.
        anchors: Heads that it had.
        what: As `due` gave it.

    Raises:
        AuditBroken: the log is not as it was written; then nothing goes, as evidence of that would.
        StoreFailed, TimedOut: it cannot be written.
    """
    if not (verdict := verify(folder, key, anchors)).ok:
        raise AuditBroken(
            f"the audit log is not as it was written, and is not shortened: {verdict.faults[0]}",
            fix="keep the folder as it is, and see what `c500 audit verify` says",
        )
    with disk_errors(folder):
        _remove_leftovers(folder, key)
        if what.last is None:
            return what
        log.append(
            Entry(
                entry_id=f"shortened/{what.last.seq}",
                run_id=OWN_RUN,
                agent=OWN_RUN,
                user=OWN_RUN,
                phase="shortened",
                outcome="the days up to this record were taken away by policy",
                details={"seq": what.last.seq, "hash": what.last.hash, "first": what.days[0], "last": what.days[-1]},
            )
        )
        put_checkpoint(folder, key, what.last)
        _remove_leftovers(folder, key)
    return what


def _remove_leftovers(folder: Path, key: bytes) -> None:
    """Remove the days that lie before the checkpoint, oldest first, each after what was moved aside in it."""
    checkpoint = read_checkpoint(folder, key)
    for day in days_of(folder)[:-1] if checkpoint else ():
        if (last := _last(folder, day)) is None or checkpoint is None or last.seq > checkpoint.seq:
            break
        for name in [name for entry in _entries(folder, day) for name in _moved_aside(entry)]:
            (folder / name).unlink(missing_ok=True)
        for path in reversed(_files(folder, day)):
            path.unlink(missing_ok=True)
    if checkpoint:
        sync_folder(folder)


def _files(folder: Path, day: str) -> tuple[Path, Path]:
    return log_of(folder, day), folder / f"{day}.idx"


def _last(folder: Path, day: str) -> Checkpoint | None:
    if (record := record_of(last_line(log_of(folder, day))[0])) is None:
        raise StoreFailed(f"the last record of {day} cannot be read", fix="see what `c500 audit verify` says")
    return Checkpoint(seq=record["seq"], hash=record["hash"], at=datetime.fromisoformat(record["at"]))


def _entries(folder: Path, day: str) -> Iterator[dict[str, Any]]:
    with log_of(folder, day).open("rb") as stream:
        for line in stream:
            if (record := record_of(line)) is not None:
                yield record["entry"]


def _moved_aside(entry: dict[str, Any]) -> Iterator[str]:
    details = entry.get("details")
    if entry.get("phase") == "recovered" and isinstance(details, dict):
        name = str(details.get("file", ""))  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType]
        if name.endswith(".torn") and "/" not in name and name != FILE:
            yield name
