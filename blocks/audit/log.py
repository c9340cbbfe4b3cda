"""The audit log: append-only files of a day each, in which every record proves the ones before."""

import os
import threading
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog
from pydantic import ValidationError

from blocks.action import canonical
from blocks.audit.chain import is_sealed, line_of, record_of, sealed
from blocks.audit.content import content_of
from blocks.audit.days import DAY, days_of, disk_errors, locked, log_of
from blocks.audit.entry import BEGINNING, Entry, Head, Record
from blocks.audit.index import Index, Place
from blocks.audit.tail import Tail, clear_end, facts_of, last_line, read_tail, torn_files
from blocks.errors import StoreFailed
from blocks.redact import Redactor
from blocks.whole_file import sync_folder

OWN_RUN = "audit"
"""The run id of what the log says of itself."""

log = structlog.stdlib.get_logger("c500")


def utc_now() -> datetime:
    """The time."""
    return datetime.now(UTC)


class AuditLog:
    """Writes down what agents do, so that nothing of it can be changed, left out or put in unseen.

    Each record holds the hash of the one before and is sealed with a key (HMAC-SHA256); the chain goes on from day to
    day. Processes of one machine may write at once; the folder must lie on a local disk, as locks of network file
    systems are not to be trusted. A record is on the disk when `append` returns.

    A log that is cut or replaced while a process has it open goes on from what the process remembers, so that the gap
    shows. Only a head kept elsewhere shows a cut before that: see `Anchors`.

    Args:
        folder: Where it lies; made when missing, for its owner alone.
        key: Seals the records; see `open_key`.
        redactor: Takes secrets out of what is written.
        clock: Gives the time, UTC.
    """

    def __init__(
        self, folder: Path, key: bytes, redactor: Redactor, *, clock: Callable[[], datetime] = utc_now
    ) -> None:
        self._folder, self._key, self._redactor, self._clock = folder.expanduser(), key, redactor, clock
        self._turn = threading.Lock()
        self._tail: Tail | None = None
        self._index = Index(self._folder)

    def append(self, entry: Entry) -> Head:
        """Write an entry; one that the run has written before is not written again.

        Args:
            entry: What happened.

        Returns:
            The record's place in the chain, of the first one when it was there before.

        Raises:
            StoreFailed: it cannot be written, or the log is damaged at its end.
            TimedOut: another process holds the log for too long.
        """
        content = content_of(entry, self._redactor)
        with self._writing() as lock:
            tail = self._caught_up(lock)
            return self._known(content) or self._written(lock, tail, content)

    def head(self) -> Head:
        """The latest record, read from the disk. Raises as `append`."""
        with self._writing() as lock:
            return self._caught_up(lock).head

    def read(self, run_id: str | None = None, since: datetime | None = None) -> Iterator[Record]:
        """Records in order; lines that hold none are passed over: `verify` names them.

        Args:
            run_id: Only of this run; None for all.
            since: Only from this time on; None for all.
        """
        return records(self._folder, run_id, since)

    @contextmanager
    def _writing(self) -> Generator[int]:
        with disk_errors(self._folder), self._turn:
            if self._tail is None:
                self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._folder.chmod(0o700)
            with locked(self._folder) as lock:
                yield lock

    def _caught_up(self, lock: int) -> Tail:
        """The end of the log, after whatever others have written."""
        known, day = self._tail, self._latest_day(lock)
        if known is not None and known.day == day and self._size(day) <= known.size:
            return self._remembered(known)
        day, was_torn = clear_end(self._folder, day) if day else (day, False)
        tail = read_tail(self._folder, day, self._key) if day else Tail()
        if known is not None and known.head.seq >= tail.head.seq and known.head != tail.head:
            log.error("audit_log_replaced", folder=str(self._folder), seq=tail.head.seq, expected_seq=known.head.seq)
            tail = replace(tail, head=known.head, at=max(known.at, tail.at))
        if day:
            self._index.catch_up(day, tail.last)
        self._tail = tail
        return self._with_torn_recorded(lock, tail) if was_torn or known is None else tail

    def _remembered(self, known: Tail) -> Tail:
        """What this process wrote or read last, also when the file has become shorter since."""
        size = self._size(known.day) if known.day else 0
        if size < known.size:
            log.error("audit_log_cut", folder=str(self._folder), day=known.day, bytes=size, expected_bytes=known.size)
            return replace(known, size=size)
        return known

    def _latest_day(self, lock: int) -> str:
        """The latest day: listed once, then as the lock file says; the lock file cannot turn it back."""
        if self._tail is None:
            return max(days_of(self._folder), default="")
        noted = os.pread(lock, 10, 0).decode("ascii", "replace")
        is_later = DAY.fullmatch(noted) and noted > self._tail.day and log_of(self._folder, noted).exists()
        return noted if is_later else self._tail.day

    def _with_torn_recorded(self, lock: int, tail: Tail) -> Tail:
        for torn in torn_files(self._folder):
            entry = Entry(
                entry_id=f"recovered/{torn.name}",
                run_id=OWN_RUN,
                agent=OWN_RUN,
                user=OWN_RUN,
                phase="recovered",
                outcome="a write that was cut off has been moved aside",
                details=facts_of(torn),
            )
            content = content_of(entry, self._redactor)
            if self._known(content) is None:
                self._written(lock, tail, content)
                tail = self._tail or tail
        return tail

    def _known(self, content: Mapping[str, Any]) -> Head | None:
        """The record that the entry has already."""
        place = self._index.place(content["run_id"], content["entry_id"])
        if place is None:
            return None
        with suppress(OSError), log_of(self._folder, place.day).open("rb") as stream:
            stream.seek(place.offset)
            record = record_of(stream.readline())
            if record and is_sealed(self._key, record) and _is_same(record["entry"], content):
                return Head(seq=record["seq"], hash=record["hash"])
        return None

    def _written(self, lock: int, tail: Tail, content: dict[str, Any]) -> Head:
        now = self._clock()
        at = max(now, tail.at)
        record = sealed(self._key, tail.head, at, content, None if at == now else now)
        day, head = at.date().isoformat(), Head(seq=record["seq"], hash=record["hash"])
        line, start = line_of(record), tail.size if day == tail.day else 0
        self._tail = None  # after a failure the disk is asked
        self._put(lock, day, line, is_new=start == 0)
        self._index.add(content["run_id"], content["entry_id"], Place(day, start))
        self._tail = Tail(head, at, day, start + len(line), start)
        return head

    def _put(self, lock: int, day: str, line: bytes, *, is_new: bool) -> None:
        """Have a line on the disk, whole or not at all."""
        if is_new:
            os.pwrite(lock, day.encode(), 0)  # before the file: who finds the day noted looks whether it is there
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(log_of(self._folder, day), flags, 0o600)
        try:
            before = os.fstat(descriptor).st_size
            if os.write(descriptor, line) != len(line):
                os.ftruncate(descriptor, before)
                raise StoreFailed(f"the disk of {self._folder} is full", fix="free disk space")
            os.fdatasync(descriptor)
        finally:
            os.close(descriptor)
        if is_new:
            sync_folder(self._folder)

    def _size(self, day: str) -> int:
        try:
            return log_of(self._folder, day).stat().st_size
        except FileNotFoundError:
            return 0


def _is_same(entry: Mapping[str, Any], content: Mapping[str, Any]) -> bool:
    return all(entry.get(name) == content[name] for name in ("run_id", "entry_id"))


def records(folder: Path, run_id: str | None = None, since: datetime | None = None) -> Iterator[Record]:
    """Records of a log without its key; see `AuditLog.read`."""
    first = since.astimezone(UTC).date().isoformat() if since else ""
    wanted = canonical(run_id).encode("utf-8", "backslashreplace") if run_id else b""
    for day in days_of(folder):
        if day < first:
            continue
        with log_of(folder, day).open("rb") as stream:
            for line in stream:
                record = _record(line) if wanted in line else None
                if record is None or run_id not in (None, record.entry.run_id):
                    continue
                if since is None or record.at >= since:
                    yield record


def head_of(folder: Path) -> Head:
    """The latest record by the last whole line, without key or lock, for gauges.

    Raises:
        StoreFailed: that line cannot be read.
    """
    with disk_errors(folder):
        lines = (last_line(log_of(folder, day))[0] for day in reversed(days_of(folder)))
        line = next(filter(None, lines), None)
    if line is None:
        return BEGINNING
    if (record := record_of(line)) is None:
        raise StoreFailed(f"the last record of {folder} cannot be read", fix="see what `c500 audit verify` says")
    return Head(seq=record["seq"], hash=record["hash"])


def _record(line: bytes) -> Record | None:
    try:
        return Record.model_validate_json(line)
    except ValidationError:
        return None
