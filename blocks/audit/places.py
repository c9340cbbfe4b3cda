"""Where the audit of a home of agents lies."""

from dataclasses import dataclass
from pathlib import Path

from blocks.audit.entry import Head
from blocks.audit.log import head_of


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
