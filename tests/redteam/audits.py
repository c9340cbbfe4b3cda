"""Attacks on the audit log by somebody who can write its files, and has not its key."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from blocks.audit import Anchors, AuditLog, AuditVerdict, Entry, Head, open_key, verify
from blocks.audit.chain import line_of, sealed
from blocks.audit.entry import BEGINNING
from blocks.audit.index import POINTER, _short
from blocks.redact import Redactor
from tests.redteam.case import AuditCase

FIRST_DAY = datetime(2026, 3, 1, 23, 50, tzinfo=UTC)
A_DAY = 3
"""Records of the first day; as many are of the next."""

Attack = Callable[..., None]


class Log:
    """A log of two days, three records each.

    Args:
        home: Where it lies, with its key and its anchors beside.
    """

    def __init__(self, home: Path) -> None:
        self.folder, self.key = home / "audit", open_key(home / "audit.key")
        self.anchors = Anchors(home / "anchors.jsonl")
        self._now = FIRST_DAY
        self._log = AuditLog(self.folder, self.key, Redactor(), clock=lambda: self._now)
        for number in range(1, 2 * A_DAY + 1):
            self._now = FIRST_DAY + timedelta(minutes=4 * (number - 1))
            self.append(f"call-{number}", "deny" if number == A_DAY else "allow")

    def append(self, call_id: str, decision: str) -> Head:
        """Write a decision."""
        return self._log.append(
            Entry(
                entry_id=f"{RUN}/{call_id}",
                run_id=RUN,
                call_id=call_id,
                agent="operator",
                user="ann",
                phase="decided",
                decision=decision,
            )
        )

    def verdict(self) -> AuditVerdict:
        """What `verify` finds."""
        return verify(self.folder, self.key, self.anchors.read())

    def entries(self) -> list[Entry]:
        """What can be read."""
        return [record.entry for record in self._log.read()]


RUN = "00000000000000ad"


def attacked(case: AuditCase, home: Path) -> Log:
    """The log after the attack."""
    log = Log(home)
    if case.anchored:
        log.anchors.append(log.append("call-7", "allow"))
    ATTACKS[case.attack](log.folder, **case.given)
    if case.goes_on:
        log.append("afterwards", "deny")
    return log


def _days(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.jsonl"))


def _lines(folder: Path) -> list[bytes]:
    return [line for day in _days(folder) for line in day.read_bytes().splitlines(keepends=True)]


def _write(folder: Path, lines: list[bytes]) -> None:
    """Write records into the files that they are of by their time."""
    by_day: dict[str, list[bytes]] = {day.stem: [] for day in _days(folder)}
    for line in lines:
        by_day[json.loads(line)["at"][:10]].append(line)
    for day, ours in by_day.items():
        (folder / f"{day}.jsonl").write_bytes(b"".join(ours))


def _edit(folder: Path, record: int, old: str, new: str) -> None:
    lines = _lines(folder)
    assert old.encode() in lines[record - 1]
    lines[record - 1] = lines[record - 1].replace(old.encode(), new.encode())
    _write(folder, lines)


def _reseal(folder: Path, record: int) -> None:
    lines = _lines(folder)
    known = json.loads(lines[record - 1])
    before = Head(seq=record - 1, hash=known["prev"])
    entry = known["entry"] | {"decision": "allow"}
    lines[record - 1] = line_of(sealed(b"x" * 32, before, datetime.fromisoformat(known["at"]), entry, None))
    _write(folder, lines)


def _delete(folder: Path, record: int) -> None:
    lines = _lines(folder)
    del lines[record - 1]
    _write(folder, lines)


def _swap(folder: Path, record: int, other: int) -> None:
    lines = _lines(folder)
    lines[record - 1], lines[other - 1] = lines[other - 1], lines[record - 1]
    _write(folder, lines)


def _double(folder: Path, record: int) -> None:
    lines = _lines(folder)
    lines.insert(record, lines[record - 1])
    _write(folder, lines)


def _forge(folder: Path) -> None:
    lines = _lines(folder)
    last = json.loads(lines[-1])
    before = Head(seq=last["seq"], hash=last["hash"])
    at = datetime.fromisoformat(last["at"])
    lines.append(line_of(sealed(b"x" * 32, before, at, last["entry"] | {"entry_id": "forged"}, None)))
    _write(folder, lines)


def _cut(folder: Path, keep: int) -> None:
    _write(folder, _lines(folder)[:keep])


def _cut_bytes(folder: Path, lost: int) -> None:
    last = _days(folder)[-1]
    last.write_bytes(last.read_bytes()[:-lost])


def _remove(folder: Path, day: str) -> None:
    for path in _days(folder) if day == "all" else _days(folder)[:1]:
        path.unlink()
        path.with_suffix(".idx").unlink(missing_ok=True)


def _rename(folder: Path) -> None:
    _days(folder)[0].rename(folder / "2026-02-01.jsonl")


def _rewrite(folder: Path) -> None:
    head, lines = BEGINNING, list[bytes]()
    for line in _lines(folder):
        known = json.loads(line)
        made = sealed(b"x" * 32, head, datetime.fromisoformat(known["at"]), known["entry"], None)
        head = Head(seq=made["seq"], hash=made["hash"])
        lines.append(line_of(made))
    _write(folder, lines)


def _tear(folder: Path) -> None:
    with _days(folder)[-1].open("ab") as file:
        file.write(b'{"seq":8,"entry":{"decision":"al')


def _false_index(folder: Path) -> None:
    """The first record of the day is said to be the entry that is written next."""
    with _days(folder)[-1].with_suffix(".idx").open("ab") as file:
        file.write(POINTER.pack(_short(RUN), _short(f"{RUN}/afterwards"), 0))


ATTACKS: dict[str, Attack] = {
    "edit": _edit,
    "reseal": _reseal,
    "delete": _delete,
    "swap": _swap,
    "double": _double,
    "forge": _forge,
    "cut": _cut,
    "cut_bytes": _cut_bytes,
    "remove": _remove,
    "rename": _rename,
    "rewrite": _rewrite,
    "tear": _tear,
    "false_index": _false_index,
}
