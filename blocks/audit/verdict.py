"""Whether a log is as it was written: nothing changed, left out, put in, swapped or cut off."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from blocks.audit.blank import erased_by, is_blank
from blocks.audit.chain import is_sealed, record_of
from blocks.audit.checkpoint import FILE, Checkpoint, read_checkpoint
from blocks.audit.days import days_of, disk_errors, log_of, unwritten
from blocks.audit.entry import BEGINNING, Head
from blocks.audit.tail import torn_files
from blocks.errors import C500Error, StoreFailed
from blocks.model import Frozen

MOST_FAULTS = 1000


class AuditBroken(C500Error):
    """The audit log is not as it was written."""

    code = "AUDIT_BROKEN"


FaultKind = Literal[
    "unreadable", "changed", "missing", "order", "link", "time", "anchor", "cut", "torn", "key", "checkpoint"
]


class Fault(Frozen):
    """What is wrong at a place.

    Attributes:
        kind: `unreadable`: the line is no record. `changed`: the record is not as it was sealed. `missing`: records
            before it are gone. `order`: it stands where it does not belong, or twice. `link`: it does not follow from
            the record before. `time`: its time is before that record's, or of another day than its file. `anchor`: it
            is another one than was anchored. `cut`: the log ends before an anchored record. `torn`: a write was cut
            off, and is not recorded as that. `key`: no record was sealed with this key. `checkpoint`: the note of
            where a shortened log begins is not as it was sealed.
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
        since: The log was shortened by policy, and begins after the record of this number; 0: it never was.
        erased: So many of the records were erased by policy; their places in the chain stand.
        faults: What is wrong, in the order of the files; at most `MOST_FAULTS`.
    """

    ok: bool
    entries: int
    head: Head = BEGINNING
    since: int = 0
    erased: int = 0
    faults: tuple[Fault, ...] = ()

    @property
    def summary(self) -> str:
        """In words."""
        faults = f"{len(self.faults)} fault{'' if len(self.faults) == 1 else 's'}"
        gone = f" after record {self.since}" if self.since else ""
        blank = f", {self.erased} of them erased" if self.erased else ""
        return f"{self.entries} records{gone}{blank}, {'all as they were written' if self.ok else faults}"


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
            checkpoint, faults = _checkpoint(folder, key)
        reading = _Reading(key, anchors, checkpoint, faults=faults)
        for day, size in sizes.items():
            for number, line in enumerate(_lines(log_of(folder, day), size), start=1):
                reading.line(day, number, line)
    return reading.verdict(torn)


def _checkpoint(folder: Path, key: bytes) -> tuple[Checkpoint | None, list[Fault]]:
    try:
        return read_checkpoint(folder, key), []
    except StoreFailed as error:
        return None, [Fault(kind="checkpoint", file=FILE, message=error.message)]


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
    begins: Checkpoint | None = None
    head: Head = BEGINNING
    at: str = ""
    entries: int = 0
    sealed: int = 0
    unread: int = 0
    place: tuple[str, int] = ("", 0)
    faults: list[Fault] = field(default_factory=list[Fault])
    torn: dict[str, str] = field(default_factory=dict[str, str])
    spared: set[str] = field(default_factory=set[str])
    blank: list[tuple[str, int, int]] = field(default_factory=list[tuple[str, int, int]])
    erased: set[int] = field(default_factory=set[int])

    def __post_init__(self) -> None:
        first = self.begins.seq if self.begins else 1  # what a shortened log has no more cannot be compared
        self._wanted = {anchor.seq: anchor.hash for anchor in self.anchors if anchor.seq >= first}
        self._other = [one for one in self.anchors if one.seq >= first and self._wanted[one.seq] != one.hash]

    def line(self, day: str, number: int, line: bytes) -> None:
        """Look at a line."""
        self.place = f"{day}.jsonl", number
        record = record_of(line)
        if record is None:
            self._unreadable(line)
            return
        self.entries += 1
        seq, blank = record["seq"], is_blank(record)
        sealed = not blank and is_sealed(self.key, record)
        self.sealed += sealed
        if blank:
            self.blank.append((day, number, seq))
        elif not sealed:
            self._fault("changed", f"record {seq} is not as it was sealed", seq)
        if self._follows(record):
            if sealed:
                self._note(record)
            if sealed or blank:
                self._look_at_time(day, record)
            self.head, self.unread = Head.model_construct(seq=seq, hash=record["hash"]), 0
        if self._wanted.pop(seq, record["hash"]) != record["hash"]:
            self._fault("anchor", f"record {seq} is another one than the one that was anchored", seq)

    def verdict(self, torn: dict[str, str]) -> AuditVerdict:
        """What came of it, with the files that hold writes that were cut off."""
        for day, line, seq in self.blank:
            if seq not in self.erased:
                message = f"record {seq} was blanked, and no record says that it was erased"
                self.faults.append(Fault(kind="changed", file=f"{day}.jsonl", line=line, seq=seq, message=message))
        if self.entries and not self.sealed and any(fault.kind == "changed" for fault in self.faults):
            first = next(fault for fault in self.faults if fault.kind == "changed")
            kept = [fault for fault in self.faults if fault.kind != "changed"]
            message = "no record was sealed with this key: it is another key, or all records were written anew"
            self.faults = [first.model_copy(update={"kind": "key", "message": message}), *kept]
        if self.begins:
            self._look_at_beginning(self.begins)
        for seq in sorted(self._wanted):
            cut = seq > self.head.seq
            said = f"the log ends with record {self.head.seq}, and has had record {seq}" if cut else f"it lacks {seq}"
            self._fault("cut" if cut else "missing", f"{said}, which was anchored", seq)
        for anchor in self._other:
            self._fault("anchor", f"two records are anchored as number {anchor.seq}", anchor.seq)
        for name in sorted((torn.keys() | self.torn.keys()) - self.spared):
            if torn.get(name) != self.torn.get(name):
                self.faults.append(
                    Fault(kind="torn", file=name, message=_torn_message(torn.get(name), name, self.torn))
                )
        faults = tuple(self.faults[:MOST_FAULTS])
        since = self.begins.seq if self.begins else 0
        return AuditVerdict(
            ok=not faults, entries=self.entries, head=self.head, since=since, erased=len(self.blank), faults=faults
        )

    def _unreadable(self, line: bytes) -> None:
        if line.endswith(b"\n"):
            self.unread += 1
            self._fault("unreadable", "the line is no record")
        else:
            self._fault("torn", "the last write was cut off; the next one moves it aside and records it")

    def _follows(self, record: dict[str, Any]) -> bool:
        """Whether the record is later in the chain than those before; says what is wrong with its place."""
        seq = record["seq"]
        if self.begins and self.head.seq < seq and self.head.seq < self.begins.seq:
            self._pass_what_went(record, self.begins)
        expected = self.head.seq + 1
        if seq < expected:
            self._fault("order", f"record {seq} stands after record {self.head.seq}", seq)
            return False
        first = expected + self.unread  # lines that are no records may have been some
        if seq > first:
            self._fault("missing", f"{_numbers(first, seq - 1)} before it", seq)
        elif seq == expected and record["prev"] != self.head.hash:
            self._fault("link", f"record {seq} does not follow from the record {seq - 1} that stands before it", seq)
        return True

    def _pass_what_went(self, record: dict[str, Any], begins: Checkpoint) -> None:
        """Go on after the records that were taken away by policy; a killed shortening has left the latest of them."""
        if record["seq"] > begins.seq:
            self.head, self.unread = begins.head, 0
        elif self.head == BEGINNING:
            self.head = Head.model_construct(seq=record["seq"] - 1, hash=record["prev"])
        if record["seq"] == begins.seq and record["hash"] != begins.hash:
            self._fault("link", f"record {begins.seq} is another one than the log was shortened up to", begins.seq)

    def _look_at_beginning(self, begins: Checkpoint) -> None:
        """A log must not end before it begins; where the record that it begins after was anchored, it is that one."""
        if self._wanted.get(begins.seq, begins.hash) != begins.hash:
            self._fault("anchor", f"the log was shortened up to another record {begins.seq} than was anchored")
        if self.head.seq >= begins.seq:
            self._wanted.pop(begins.seq, None)
        else:
            self._wanted[begins.seq] = begins.hash

    def _look_at_time(self, day: str, record: dict[str, Any]) -> None:
        at, seq = record["at"], record["seq"]
        if at < self.at:
            self._fault("time", f"record {seq} is of {at}, and the one before of {self.at}", seq)
        elif at[:10] != day or not _is_time(at):
            self._fault("time", f"record {seq} is of {at}, and stands in the file of {day}", seq)
        self.at = max(at, self.at)

    def _note(self, record: dict[str, Any]) -> None:
        """Note what a record of the log's own says of others."""
        entry = record["entry"]
        for numbers in erased_by(entry):
            # None after itself: a record cannot speak for those to come.
            self.erased.update(range(numbers.start, min(numbers.stop, record["seq"])))
        details = entry.get("details")
        if entry.get("phase") == "recovered" and isinstance(details, dict):
            name = str(details.get("file"))  # pyright: ignore[reportUnknownArgumentType]
            self.torn[name] = str(details.get("sha256"))  # pyright: ignore[reportUnknownArgumentType]
            if self.begins and record["seq"] <= self.begins.seq:
                self.spared.add(name)  # it goes before its record does

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
