"""The record that proves what agents did and why."""

from blocks.audit.anchors import Anchors
from blocks.audit.entry import Entry, Head, Record
from blocks.audit.key import open_key
from blocks.audit.log import AuditLog
from blocks.audit.verdict import AuditBroken, AuditVerdict, Fault, verify

__all__ = [
    "Anchors",
    "AuditBroken",
    "AuditLog",
    "AuditVerdict",
    "Entry",
    "Fault",
    "Head",
    "Record",
    "open_key",
    "verify",
]
