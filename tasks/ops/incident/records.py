"""What a record in the store says that a run of ours has changed, in words, and what it names.

A run counts for an incident where it names one of its services, or a host of one; any other is a weak fact. A kind of
record whose words need more than its name is a function here and a row of `WORDS`.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from blocks.hosts.inventory import LOCAL

NAMING = frozenset({"service", "services", "host", "hosts", "server", "servers", "parameters"})
"""Fields whose values name what a run is about, wherever in its record."""
TOUCHING = frozenset({"changed", "failed", "attention"})
"""How a task of maintenance ends that may have changed something."""
MOST_NAMED = 3
DEEPEST = 12


@dataclass(frozen=True, kw_only=True)
class Change:
    """Something that a run of ours has changed.

    Attributes:
        at: When.
        title: What, in a line.
        service: Of which service; empty where the record names none.
        named: What the record names: services, hosts, values of parameters.
    """

    at: datetime
    title: str
    service: str = ""
    named: frozenset[str] = frozenset()

    def is_about(self, names: Iterable[str]) -> bool:
        """Whether it names one of these services or hosts; a name in its title counts as a whole word."""
        wanted = [name.lower() for name in names if name and name.lower() != LOCAL]
        return any(
            name in self.named or re.search(rf"(?<![\w.-]){re.escape(name)}(?![\w.-])", self.title.lower()) is not None
            for name in wanted
        )


def changes_told(at: datetime, kind: str, name: str, content: dict[str, Any]) -> Iterator[Change]:
    """What a record says was changed; nothing of one that only looked, or only said what it would do.

    Args:
        at: When the record was written last.
        kind: Its folder.
        name: Its name within the folder.
        content: What it holds.
    """
    if content.get("dry_run") is True or content.get("status") == "planned":
        return
    if kind == "services":
        yield from _versions(name, content)
        return
    words = WORDS.get(kind, _others)
    if title := words(kind, name, content):
        yield Change(at=at, title=title, service=_text(content.get("service")), named=frozenset(_named(content)))


def _versions(name: str, content: dict[str, Any]) -> Iterator[Change]:
    """The history of a service has several versions."""
    versions = content.get("versions")
    for version, one in cast(dict[str, dict[str, Any]], versions if isinstance(versions, dict) else {}).items():
        title = f"deployment of {name} {version}: {one.get('state')}"
        yield Change(at=datetime.fromisoformat(str(one["at"])), title=title, service=name, named=frozenset({name}))


def _migration(_kind: str, name: str, content: dict[str, Any]) -> str:
    phases = _records(content.get("phases"))
    if phases and not any(one.get("begun_at") for one in phases):
        return ""  # nothing of it has begun
    done = sum(1 for one in phases if one.get("state") == "done")
    how = "is taken back" if content.get("back") else "waits" if content.get("waits") else ""
    return f"migration {name}: {done} of {len(phases)} phases done{f', it {how}' if how else ''}"


def _runbook(_kind: str, name: str, content: dict[str, Any]) -> str:
    steps = content.get("steps")
    records = [one for one in cast(dict[str, Any], steps if isinstance(steps, dict) else {}).values() if one]
    if records and all(_only_looked(one) for one in records):
        return ""
    given = content.get("parameters")
    told = [f"{key}={value}" for key, value in (cast(dict[str, Any], given) if isinstance(given, dict) else {}).items()]
    with_values = f" with {', '.join(told[:MOST_NAMED])}" if told else ""
    return f"runbook {_text(content.get('runbook')) or name}{with_values}: {_text(content.get('status')) or 'begun'}"


def _only_looked(step: Any) -> bool:
    """Whether a step of a runbook has changed nothing: it was no command that may, or it was not done."""
    return bool(step.get("read_only")) or step.get("status") in ("planned", "refused") or step.get("kind") in QUIET


QUIET = frozenset({"if", "parallel", "runbook", "wait_until", "notify", "approve"})
"""Steps of runbooks that change nothing themselves; those within them are records of their own."""


def _rollout(_kind: str, name: str, content: dict[str, Any]) -> str:
    plan, status = content.get("plan"), _text(content.get("status"))
    if not content.get("rollback"):
        return ""  # it has only watched
    facts = cast(dict[str, Any], plan) if isinstance(plan, dict) else {}
    what = " ".join(_text(facts.get(part)) for part in ("service", "version")).strip() or name
    return f"rollout of {what}: {status.replace('_', ' ')}"


def _maintenance(_kind: str, name: str, content: dict[str, Any]) -> str:
    results = _records(content.get("results"))
    if results and not any(one.get("status") in TOUCHING for one in results):
        return ""
    of = _text(content.get("plan"))
    hosts = list(dict.fromkeys(_text(one.get("host")) for one in results if one.get("status") in TOUCHING))
    return f"maintenance {name}{f' of {of}' if of else ''}{_on(hosts)}"


def _disks(_kind: str, name: str, content: dict[str, Any]) -> str:
    hosts = [_text(one.get("host")) for one in _records(content.get("disks"))]
    return f"room made on disks, run {name}{_on(list(dict.fromkeys(hosts)))}"


def _others(kind: str, name: str, content: dict[str, Any]) -> str:
    status = _text(content.get("status"))
    return f"{kind} {name}{f': {status}' if status else ''}"


WORDS: dict[str, Callable[[str, str, dict[str, Any]], str]] = {
    "migrations": _migration,
    "runbooks": _runbook,
    "rollouts": _rollout,
    "maintenance": _maintenance,
    "disks": _disks,
}
"""Takes folder, name and content of a record; gives a line, or nothing where nothing was changed."""


def _named(content: Any, depth: int = 0, *, is_name: bool = False) -> Iterator[str]:
    """Whatever stands in fields that name services or hosts."""
    if depth > DEEPEST:
        return
    if isinstance(content, dict):
        for key, value in cast(dict[str, Any], content).items():
            yield from _named(value, depth + 1, is_name=is_name or key in NAMING)
    elif isinstance(content, list):
        for value in cast(list[Any], content):
            yield from _named(value, depth + 1, is_name=is_name)
    elif is_name and isinstance(content, str) and content:
        yield content.lower()


def _on(hosts: list[str]) -> str:
    shown = [host for host in hosts if host]
    more = f" and {len(shown) - MOST_NAMED} more" if len(shown) > MOST_NAMED else ""
    return f" on {', '.join(shown[:MOST_NAMED])}{more}" if shown else ""


def _records(value: Any) -> list[dict[str, Any]]:
    return [one for one in cast(list[Any], value) if isinstance(one, dict)] if isinstance(value, list) else []


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
