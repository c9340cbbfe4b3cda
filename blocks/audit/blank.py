"""Records of which only their place in the chain is left: what they told was erased, and a sealed record says so."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from blocks.audit.chain import line_of, record_of
from blocks.audit.days import days_of, disk_errors, locked, log_of
from blocks.audit.entry import Entry
from blocks.audit.log import OWN_RUN, AuditLog
from blocks.content import content_hash
from blocks.whole_file import write_whole

BLANK = "erased"
"""The only field of an entry that was erased; also the phase of the record that says which were."""

FIELDS = {"seq", "prev", "at", "clock", "entry", "hash"}
"""All that a record has: of one that is blank no seal tells that nothing was put in."""

RANGES = "records"
RANGE = re.compile(r"(\d{1,15})(?:-(\d{1,15}))?")
AT_ONCE = 2000
"""Ranges of numbers that one record names: it must not be cut."""

Wanted = Callable[[Mapping[str, Any]], bool]
"""Whether an entry, as JSON, is to be erased."""


def is_blank(record: Mapping[str, Any]) -> bool:
    """Whether what a record told was erased."""
    entry = record["entry"]
    return entry.keys() == {BLANK} and not str(entry[BLANK]).strip("-") and record.keys() <= FIELDS


def find(folder: Path, wanted: Wanted) -> list[tuple[int, bytes]]:
    """Numbers and lines of the records whose entries are wanted, in order; those that are blank are not."""
    with disk_errors(folder):
        found = ((record["seq"], line) for day in days_of(folder) for record, line in _records(folder, day))
        return [(seq, line) for seq, line in found if _is_wanted(line, wanted)]


def erase(log: AuditLog, folder: Path, wanted: Wanted, name: str) -> int:
    """Blank the entries that are wanted. What holds the chain together stays: numbers, times, hashes.

    First a sealed record says which are blanked, then they are. Killed in between, the next call blanks the rest; a
    record that is blank without such a word is a fault for `verify`. Lines keep their length, so that no other record
    moves, and who writes meanwhile notices nothing.

    Args:
        log: The log, for the record.
        folder: Where it lies.
        wanted: Which.
        name: Of the erasure; the same when it is gone on with.

    Returns:
        So many entries are blank now that were not.

    Raises:
        StoreFailed, TimedOut: the log cannot be written.
    """
    seqs = [seq for seq, _ in find(folder, wanted)]
    ranges = list(_ranges(seqs))
    for first in range(0, len(ranges), AT_ONCE):
        told = ",".join(ranges[first : first + AT_ONCE])
        log.append(
            Entry(
                entry_id=f"{BLANK}/{name}/{content_hash(told)[:32]}",
                run_id=OWN_RUN,
                agent=OWN_RUN,
                user=OWN_RUN,
                phase="erased",
                outcome="what these records told was erased",
                details={RANGES: told, "erasure": name},
            )
        )
    doomed = set(seqs)
    with disk_errors(folder):
        for day in days_of(folder) if doomed else ():
            _blank_day(folder, day, doomed)
    return len(seqs)


def erased_by(entry: Mapping[str, Any]) -> Iterator[range]:
    """The numbers of records that a sealed entry says were erased."""
    details = entry.get("details")
    if entry.get("phase") == BLANK and entry.get("run_id") == OWN_RUN and isinstance(details, dict):
        for found in RANGE.finditer(str(details.get(RANGES, ""))):  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType]
            yield range(int(found[1]), int(found[2] or found[1]) + 1)


def _blank_day(folder: Path, day: str, doomed: set[int]) -> None:
    if not any(record["seq"] in doomed for record, _ in _records(folder, day)):
        return
    path = log_of(folder, day)
    with locked(folder):  # nobody writes to the file that is replaced
        lines = path.read_bytes().splitlines(keepends=True)
        write_whole(path, b"".join(_blanked(line, doomed) for line in lines))


def _blanked(line: bytes, doomed: set[int]) -> bytes:
    """The line without what it told, as long as before."""
    record = record_of(line)
    if record is None or record["seq"] not in doomed or is_blank(record):
        return line
    room = len(line) - len(line_of(record | {"entry": {BLANK: ""}}))
    return line_of(record | {"entry": {BLANK: "-" * room}})


def _is_wanted(line: bytes, wanted: Wanted) -> bool:
    record = record_of(line)
    return (
        record is not None
        and not is_blank(record)
        and record["entry"].get("phase") != BLANK
        and wanted(record["entry"])
    )


def _records(folder: Path, day: str) -> Iterator[tuple[dict[str, Any], bytes]]:
    with log_of(folder, day).open("rb") as stream:
        for line in stream:
            if (record := record_of(line)) is not None:
                yield record, line


def _ranges(seqs: Iterable[int]) -> Iterator[str]:
    """Numbers in order, as `3`, `5-9`."""
    first = last = None
    for seq in seqs:
        if last is not None and seq == last + 1:
            last = seq
            continue
        if first is not None:
            yield _told(first, last)
        first = last = seq
    if first is not None:
        yield _told(first, last)


def _told(first: int, last: int | None) -> str:
    return str(first) if first == last else f"{first}-{last}"
