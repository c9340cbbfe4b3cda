"""Where the audit of a home of agents lies."""

from dataclasses import dataclass
from pathlib import Path

from blocks.audit.entry import Head
from blocks.audit.key import open_key
from blocks.audit.log import AuditLog, head_of
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
    """The latest record, for the gauge `agent_audit_head_seq`; needs no key and waits for nobody.

    Raises:
        StoreFailed: it cannot be read.
    """
    return head_of(AuditPlaces(home).folder)


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
