"""Whether a log is as it was written: nothing changed, left out, put in, swapped or cut off."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from blocks.audit.chain import is_sealed, record_of
from blocks.audit.days import days_of, disk_errors, log_of, unwritten
from blocks.audit.entry import BEGINNING, Head
from blocks.audit.tail import torn_files
from blocks.errors import C500Error
from blocks.model import Frozen

MOST_FAULTS = 1000


class AuditBroken(C500Error):
    """The audit log is not as it was written."""

    code = "AUDIT_BROKEN"


FaultKind = Literal["unreadable", "changed", "missing", "order", "link", "time", "anchor", "cut", "torn", "key"]


class Fault(Frozen):
    """What is wrong at a place.

    Attributes:
        kind: `unreadable`: the line is no record. `changed`: the record is not as it was sealed. `missing`: records
            before it are gone. `order`: it stands where it does not belong, or twice. `link`: it does not follow from
            the record before. `time`: its time is before that record's, or of another day than its file. `anchor`: it
            is another one than was anchored. `cut`: the log ends before an anchored record. `torn`: a write was cut
            off, and is not recorded as that. `key`: no record was sealed with this key.
        file: Its name.
        line: From 1; None for a whole file.
        seq: Number of the record, where it is known.
        message: The same in words.
    """

    kind: FaultKind
    file: str
    line: int | None = None
    seq: int | None = None
    message: str

    def __str__(self) -> str:
        return f"{self.file}{f':{self.line}' if self.line else ''}: {self.message}"


class AuditVerdict(Frozen):
    """What came of looking at a log.

    Attributes:
        ok: Whether it is as it was written.
        entries: So many records.
        head: The latest.
        faults: What is wrong, in the order of the files; at most `MOST_FAULTS`.
    """

    ok: bool
    entries: int
    head: Head = BEGINNING
    faults: tuple[Fault, ...] = ()

    @property
    def summary(self) -> str:
        """In words."""
        faults = f"{len(self.faults)} fault{'' if len(self.faults) == 1 else 's'}"
        return f"{self.entries} records, {'all as they were written' if self.ok else faults}"


def verify(folder: Path, key: bytes, anchors: Sequence[Head] = ()) -> AuditVerdict:
    """Look at every record of a log; writers may go on meanwhile.

    Without the key nobody can make a record that passes. Whoever has the key can write the log anew from any record on:
    only anchors kept where he cannot change them show that, and a cut at the end.

    Args:
        folder: Of the log.
        key: With which it was sealed.
        anchors: Heads that the log had, read before this call.

    Raises:
        StoreFailed: it cannot be read.
        TimedOut: a writer holds it for too long.
    """
    folder = folder.expanduser()
    with disk_errors(folder):
        with unwritten(folder):
            sizes = {day: log_of(folder, day).stat().st_size for day in days_of(folder)}
            torn = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in torn_files(folder)}
        reading = _Reading(key, anchors)
        for day, size in sizes.items():
            for number, line in enumerate(_lines(log_of(folder, day), size), start=1):
                reading.line(day, number, line)
    return reading.verdict(torn)


def _lines(path: Path, size: int) -> Iterator[bytes]:
    """The lines up to a size: what is written later is not looked at."""
    with path.open("rb") as stream:
        left = size
        while left > 0 and (line := stream.readline(left)):
            left -= len(line)
            yield line


@dataclass
class _Reading:
    """What is known of the records read so far."""

    key: bytes
    anchors: Sequence[Head]
    head: Head = BEGINNING
    at: str = ""
    entries: int = 0
    sealed: int = 0
    unread: int = 0
    place: tuple[str, int] = ("", 0)
    faults: list[Fault] = field(default_factory=list[Fault])
    torn: dict[str, str] = field(default_factory=dict[str, str])

    def __post_init__(self) -> None:
        self._wanted = {anchor.seq: anchor.hash for anchor in self.anchors if anchor.seq}
        self._other = [one for one in self.anchors if one.seq and self._wanted[one.seq] != one.hash]

    def line(self, day: str, number: int, line: bytes) -> None:
        """Look at a line."""
        self.place = f"{day}.jsonl", number
        record = record_of(line)
        if record is None:
            self._unreadable(line)
            return
        self.entries += 1
        seq, sealed = record["seq"], is_sealed(self.key, record)
        self.sealed += sealed
        if not sealed:
            self._fault("changed", f"record {seq} is not as it was sealed", seq)
        if self._follows(record):
            if sealed:
                self._note_recovered(record["entry"])
                self._look_at_time(day, record)
            self.head, self.unread = Head.model_construct(seq=seq, hash=record["hash"]), 0
        if self._wanted.pop(seq, record["hash"]) != record["hash"]:
            self._fault("anchor", f"record {seq} is another one than the one that was anchored", seq)

    def verdict(self, torn: dict[str, str]) -> AuditVerdict:
        """What came of it, with the files that hold writes that were cut off."""
        if self.entries and not self.sealed:
            first = next(fault for fault in self.faults if fault.kind == "changed")
            kept = [fault for fault in self.faults if fault.kind != "changed"]
            message = "no record was sealed with this key: it is another key, or all records were written anew"
            self.faults = [first.model_copy(update={"kind": "key", "message": message}), *kept]
        for seq in sorted(self._wanted):
            cut = seq > self.head.seq
            said = f"the log ends with record {self.head.seq}, and has had record {seq}" if cut else f"it lacks {seq}"
            self._fault("cut" if cut else "missing", f"{said}, which was anchored", seq)
        for anchor in self._other:
            self._fault("anchor", f"two records are anchored as number {anchor.seq}", anchor.seq)
        for name in sorted(torn.keys() | self.torn.keys()):
            if torn.get(name) != self.torn.get(name):
                self.faults.append(
                    Fault(kind="torn", file=name, message=_torn_message(torn.get(name), name, self.torn))
                )
        faults = tuple(self.faults[:MOST_FAULTS])
        return AuditVerdict(ok=not faults, entries=self.entries, head=self.head, faults=faults)

    def _unreadable(self, line: bytes) -> None:
        if line.endswith(b"\n"):
            self.unread += 1
            self._fault("unreadable", "the line is no record")
        else:
            self._fault("torn", "the last write was cut off; the next one moves it aside and records it")

    def _follows(self, record: dict[str, Any]) -> bool:
        """Whether the record is later in the chain than those before; says what is wrong with its place."""
        seq, expected = record["seq"], self.head.seq + 1
        if seq < expected:
            self._fault("order", f"record {seq} stands after record {self.head.seq}", seq)
            return False
        first = expected + self.unread  # lines that are no records may have been some
        if seq > first:
            self._fault("missing", f"{_numbers(first, seq - 1)} before it", seq)
        elif seq == expected and record["prev"] != self.head.hash:
            self._fault("link", f"record {seq} does not follow from the record {seq - 1} that stands before it", seq)
        return True

    def _look_at_time(self, day: str, record: dict[str, Any]) -> None:
        at, seq = record["at"], record["seq"]
        if at < self.at:
            self._fault("time", f"record {seq} is of {at}, and the one before of {self.at}", seq)
        elif at[:10] != day or not _is_time(at):
            self._fault("time", f"record {seq} is of {at}, and stands in the file of {day}", seq)
        self.at = max(at, self.at)

    def _note_recovered(self, entry: dict[str, Any]) -> None:
        details = entry.get("details")
        if entry.get("phase") == "recovered" and isinstance(details, dict):
            self.torn[str(details.get("file"))] = str(details.get("sha256"))  # pyright: ignore[reportUnknownArgumentType]

    def _fault(self, kind: FaultKind, message: str, seq: int | None = None) -> None:
        if len(self.faults) < MOST_FAULTS:
            file, line = self.place
            self.faults.append(Fault(kind=kind, file=file, line=line or None, seq=seq, message=message))


def _numbers(first: int, last: int) -> str:
    return f"record {first} is gone" if first == last else f"records {first} to {last} are gone"


def _torn_message(found: str | None, name: str, recorded: dict[str, str]) -> str:
    if found is None:
        return "this file with a write that was cut off is gone, though the log tells of it"
    if name not in recorded:
        return "the log does not tell of this file with a write that was cut off; its next record will"
    return "this file with a write that was cut off is not as the log tells"


def _is_time(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False
