"""The record of a run, told to a person."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from blocks.action import canonical
from blocks.audit.entry import Entry, Phase, Record

LONGEST = 300
"""Characters that are shown of a text."""


def story(records: Iterable[Record]) -> Iterator[str]:
    """What a run did and why, line by line.

    Args:
        records: Of one run, in order.
    """
    day, begun = "", False
    for record in records:
        entry = record.entry
        if not begun:
            yield from _heading(entry)
            begun = True
        if (now := f"{record.at:%Y-%m-%d}") != day:
            day = now
            yield f"{day} (UTC)"
        first, *others = _told(entry)
        yield f"  {record.at:%H:%M:%S}  {one_line(first)}"
        yield from (f"            {one_line(other)}" for other in others)


def one_line(text: str, most: int = LONGEST) -> str:
    """The text on one line of printable characters, cut where it is too long: it may come from anywhere."""
    shown = " ".join("".join(char if char.isprintable() else " " for char in text[: most * 4]).split())
    return f"{shown[: most - 1]}…" if len(shown) > most else shown


def _heading(entry: Entry) -> Iterator[str]:
    session = f", session {entry.session}" if entry.session else ""
    yield one_line(f"run {entry.run_id}: agent {entry.agent}, for {entry.user}{session}")


def _told(entry: Entry) -> list[str]:
    """One thing that happened: what, and below it why."""
    tell = TOLD.get(entry.phase, _as_it_is)
    lines = [tell(entry)]
    if entry.reasoning and entry.phase not in ("model_call", "answered"):
        lines.append(f"because: {entry.reasoning}")
    for name, value in (("arguments", entry.arguments), ("before", entry.before), ("after", entry.after)):
        if value is not None:
            lines.append(f"{name}: {_json(value)}")
    if entry.details:
        lines.append(", ".join(f"{name}: {_json(value)}" for name, value in entry.details.items()))
    return lines


def _decided(entry: Entry) -> str:
    policy = f", policy {entry.policy_version[:12]}" if entry.policy_version else ""
    risk = f", risk {entry.risk}" if entry.risk else ""
    return f"{entry.tool}: {entry.decision} by rule {entry.rule}{policy}{risk}{_after(entry.trigger)}"


def _answered(entry: Entry) -> str:
    by = ", ".join(entry.approvers) or "nobody"
    return f"{entry.tool}: {entry.outcome} by {by}{_after(entry.reasoning)}"


def _as_it_is(entry: Entry) -> str:
    about = f" {entry.tool}" if entry.tool else ""
    return f"{entry.phase.replace('_', ' ')}{about}{_after(entry.outcome or entry.trigger)}"


def _after(text: str | None) -> str:
    return f": {text}" if text else ""


def _json(value: Any) -> str:
    return value if isinstance(value, str) else canonical(value)


TOLD: dict[Phase, Callable[[Entry], str]] = {
    "run_started": lambda entry: f"begins{_after(entry.trigger)}",
    "run_ended": lambda entry: f"ends{_after(entry.outcome)}",
    "model_call": lambda entry: f"the model says{_after(entry.reasoning) or ' nothing'}",
    "decided": _decided,
    "asked": lambda entry: f"{entry.tool}: a person is asked{_after(entry.trigger)}",
    "answered": _answered,
    "started": lambda entry: f"{entry.tool} is called",
    "done": lambda entry: f"{entry.tool} gives{_after(entry.outcome) or ' nothing'}",
    "failed": lambda entry: f"{entry.tool or 'it'} fails{_after(entry.outcome)}",
    "stopped": lambda entry: f"is stopped{_after(entry.outcome)}",
    "resumed": lambda entry: f"goes on{_after(entry.outcome or entry.trigger)}",
}
