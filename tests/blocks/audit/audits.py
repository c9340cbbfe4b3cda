"""Audit logs that tests write, read and tamper with."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from blocks.audit import AuditLog, AuditVerdict, Entry, verify
from blocks.redact import Redactor

KEY = bytes(range(32))
RUN = "0123456789abcdef"
NOON = datetime(2026, 11, 3, 12, tzinfo=UTC)


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self, now: datetime = NOON) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


def entry(number: int | str = 1, **facts: Any) -> Entry:
    fields = {"run_id": RUN, "agent": "ops", "user": "ann", "phase": "decided"} | facts
    return Entry(entry_id=f"{fields['run_id']}/{number}", **fields)


def open_log(folder: Path, clock: Callable[[], datetime] | None = None, key: bytes = KEY) -> AuditLog:
    return AuditLog(folder, key, Redactor(), **({"clock": clock} if clock else {}))


def written(folder: Path, *counts: int) -> AuditLog:
    """A log with so many records on each of some days."""
    clock = Clock()
    log = open_log(folder, clock)
    for day, count in enumerate(counts):
        clock.now = NOON + timedelta(days=day)
        for number in range(count):
            log.append(entry(f"{day}-{number}"))
    return log


def checked(folder: Path, *anchors: Any, key: bytes = KEY) -> AuditVerdict:
    return verify(folder, key, anchors)


def lines(folder: Path, day: str = "2026-11-03") -> list[bytes]:
    return (folder / f"{day}.jsonl").read_bytes().splitlines(keepends=True)


def put(folder: Path, changed: list[bytes], day: str = "2026-11-03") -> None:
    (folder / f"{day}.jsonl").write_bytes(b"".join(changed))


def edited(line: bytes, **facts: Any) -> bytes:
    """The line with other facts in its entry, written as the log writes."""
    record = json.loads(line)
    record["entry"] |= facts
    return json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def told(verdict: AuditVerdict) -> list[tuple[str, str, int | None]]:
    """Kind, file and line of each fault."""
    return [(fault.kind, fault.file, fault.line) for fault in verdict.faults]
