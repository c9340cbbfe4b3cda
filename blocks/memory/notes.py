"""MEMORY.md: what an agent remembers of a user, as a page that a person reads."""

import re
from collections.abc import Sequence

from blocks.memory.record import KINDS, Kind, MemoryRecord, Namespace

HEADINGS: dict[Kind, str] = {
    "preference": "Preferences",
    "fact": "Facts",
    "decision": "Decisions",
    "lesson": "Lessons",
    "episode": "What happened",
}

MARKS = re.compile(r"([\\`*_\[\]<>#|])")


def notes(namespace: Namespace, records: Sequence[MemoryRecord]) -> str:
    """The page: what is recalled, by kind, the most important first; and how much is kept back.

    Args:
        namespace: Whose memory it is.
        records: All its memories.
    """
    lines = [f"# Memory of {_plain(namespace.agent)} for {_plain(namespace.user) or 'everybody'}", ""]
    recalled = [record for record in records if record.is_recalled]
    for kind in KINDS:
        if of_kind := sorted((one for one in recalled if one.kind == kind), key=_place):
            lines += [f"## {HEADINGS[kind]}", "", *map(_line, of_kind), ""]
    if not recalled:
        lines += ["Nothing yet.", ""]
    if waiting := sum(record.state == "quarantined" for record in records):
        lines += [f"{waiting} more wait for a person: `c500 memory list --state quarantined`.", ""]
    return "\n".join(lines)


def _place(record: MemoryRecord) -> tuple[int, float, str]:
    return -record.importance, -record.created_at.timestamp(), record.memory_id


def _line(record: MemoryRecord) -> str:
    told = [f"{record.created_at:%Y-%m-%d}", f"importance {record.importance}", record.memory_id]
    if record.reviewed_by:
        told.append(f"read by {_plain(record.reviewed_by)}")
    return f"- {_plain(record.text)} ({', '.join(told)})"


def _plain(text: str) -> str:
    """A text on one line, in which nothing is Markdown."""
    return MARKS.sub(r"\\\1", " ".join(text.split()))
