"""Where the audit of a home of agents lies."""

from dataclasses import dataclass
from pathlib import Path

from blocks.audit.anchors import Anchors
from blocks.audit.days import days_of, disk_errors, log_of
from blocks.audit.entry import BEGINNING, Head
from blocks.audit.key import open_key, read_key
from blocks.audit.log import AuditLog, head_of
from blocks.audit.tail import last_line, read_tail
from blocks.audit.verdict import AuditBroken
from blocks.redact import Redactor, default_redactor


@dataclass(frozen=True)
class AuditPlaces:
    """The places.

    Args:
        home: AGENTS_HOME.
    """

    home: Path

    @property
    def folder(self) -> Path:
        """The log."""
        return self.home.expanduser() / "audit"

    @property
    def key(self) -> Path:
        """What seals it."""
        return self.home.expanduser() / "audit.key"

    @property
    def anchors(self) -> Path:
        """Heads it has had."""
        return self.home.expanduser() / "audit-anchors.jsonl"


def audit_head(home: Path) -> Head:
    """The latest record, for the gauge `c500_agent_audit_head_seq`; needs no key and waits for nobody.

    Raises:
        StoreFailed: it cannot be read.
    """
    return head_of(AuditPlaces(home).folder)


def checked_head(home: Path) -> Head:
    """The latest record, if it is as it was written, and none that was anchored is missing after it.

    A glance at the end, which takes as long for a large log; `verify` looks at every record.

    Args:
        home: AGENTS_HOME.

    Raises:
        AuditBroken: the log ends before an anchored record, or with another one.
        StoreFailed, NotFound, NotAllowed: the end, the key or the anchors cannot be read, or the end was changed.
    """
    places = AuditPlaces(home)
    anchored = max(Anchors(places.anchors).read(), key=lambda head: head.seq, default=BEGINNING)
    with disk_errors(places.folder):
        days = (day for day in reversed(days_of(places.folder)) if last_line(log_of(places.folder, day))[0])
        day = next(days, None)
        head = read_tail(places.folder, day, read_key(places.key)).head if day else BEGINNING
    if head.seq < anchored.seq or (head.seq == anchored.seq and head != anchored):
        raise AuditBroken(
            f"the audit log ends with record {head.seq}, which is not the one that was anchored: {anchored}",
            fix="see what `c500 audit verify` says; find out who could write there",
        )
    return head


def open_audit(home: Path, redactor: Redactor | None = None) -> AuditLog:
    """The log of a home of agents, to write to.

    Args:
        home: AGENTS_HOME.
        redactor: Takes secrets out; None for that of this process.

    Raises:
        StoreFailed, NotAllowed: its key cannot be used.
    """
    places = AuditPlaces(home)
    return AuditLog(places.folder, open_key(places.key), redactor or default_redactor())
