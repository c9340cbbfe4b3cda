"""Where a run's entries lie, so that one that is appended again is found without reading the log.

An index only points: what it points to is read and its seal looked at, so a false index hides nothing. One that is lost
is made again from the log; an entry it does not have is written once more, which does no harm to the chain.
"""

import hashlib
import os
import struct
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from blocks.audit.chain import record_of
from blocks.audit.days import days_of, log_of

POINTER = struct.Struct("<8s8sQ")
DAYS = 90
"""An entry is found again for so many days with records; a run that goes on later than that repeats its entries."""

RUNS = 64
"""So many runs are kept in mind."""


class Place(NamedTuple):
    """Where a record begins: the day, and the byte in its file."""

    day: str
    offset: int


class Index:
    """Points to the entries of runs.

    Args:
        folder: Of the log; a file `DAY.idx` stands beside each day's.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._runs: OrderedDict[bytes, dict[bytes, Place]] = OrderedDict()
        self._read = Place("", 0)

    def place(self, run_id: str, entry_id: str) -> Place | None:
        """Where the run's entry lies."""
        run = _short(run_id)
        if run not in self._runs:
            self._runs[run] = {
                entry: place
                for day in days_of(self._folder)[-DAYS:]
                for owner, entry, place in self._pointers(day)
                if owner == run
            }
            if len(self._runs) > RUNS:
                self._runs.popitem(last=False)
        self._runs.move_to_end(run)
        return self._runs[run].get(_short(entry_id))

    def add(self, run_id: str, entry_id: str, place: Place) -> None:
        """Point to a new record; an index that cannot be written is behind, and made up for later."""
        pointer = _short(run_id), _short(entry_id)
        with suppress(OSError):
            self._append(place.day, [POINTER.pack(*pointer, place.offset)])
        self._learn(*pointer, place)
        self._read = Place(place.day, self._size(place.day))

    def catch_up(self, day: str, last: int) -> None:
        """Learn what others have written, after making up for pointers that the latest day lacks.

        Args:
            day: The latest day.
            last: Where its last record begins.
        """
        with suppress(OSError):
            self._make_up(day, last)
        if day != self._read.day:
            self._runs.clear()  # once a day: they are read again when they are asked for
        else:
            for owner, entry, place in self._pointers(day, self._read.offset):
                self._learn(owner, entry, place)
        self._read = Place(day, self._size(day))

    def _learn(self, run: bytes, entry: bytes, place: Place) -> None:
        if run in self._runs:
            self._runs[run][entry] = place

    def _make_up(self, day: str, last: int) -> None:
        """Write the pointers that are missing: all whose write was cut off by the end of a process or of the power."""
        path, whole = self._path(day), self._size(day)
        if path.exists() and path.stat().st_size > whole:
            os.truncate(path, whole)
        known = max((place.offset for _, _, place in self._pointers(day, max(0, whole - POINTER.size))), default=-1)
        if known < last:
            self._append(day, list(_pointers_of(log_of(self._folder, day), after=known)))

    def _pointers(self, day: str, start: int = 0) -> Iterator[tuple[bytes, bytes, Place]]:
        path = self._path(day)
        if not path.exists():
            with suppress(OSError):
                self._append(day, list(_pointers_of(log_of(self._folder, day), after=-1)))
        with suppress(OSError), path.open("rb") as stream:
            stream.seek(start)
            content = stream.read()
            whole = len(content) - len(content) % POINTER.size
            for run, entry, offset in POINTER.iter_unpack(content[:whole]):
                yield run, entry, Place(day, offset)

    def _append(self, day: str, pointers: list[bytes]) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(self._path(day), flags, 0o600)
        try:
            os.write(descriptor, b"".join(pointers))
        finally:
            os.close(descriptor)

    def _size(self, day: str) -> int:
        """Bytes of whole pointers."""
        try:
            size = self._path(day).stat().st_size
        except OSError:
            return 0
        return size - size % POINTER.size

    def _path(self, day: str) -> Path:
        return self._folder / f"{day}.idx"


def _short(name: str) -> bytes:
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()[:8]


def _pointers_of(log: Path, after: int) -> Iterator[bytes]:
    """Pointers to the records of a file that begin after a byte."""
    try:
        stream = log.open("rb")
    except FileNotFoundError:
        return
    with stream:
        stream.seek(max(0, after))
        offset = max(0, after)
        for line in stream:
            record = record_of(line) if offset > after else None
            if record is not None:
                entry = record["entry"]
                yield POINTER.pack(_short(str(entry.get("run_id"))), _short(str(entry.get("entry_id"))), offset)
            offset += len(line)
