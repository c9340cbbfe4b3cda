"""Of whom data is asked for, and by which names they are found."""

import hmac
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cached_property
from typing import Any, Literal, cast

from pydantic import Field

from blocks.model import Frozen

Kind = Literal["job", "person"]

NAME = r"^[^\x00-\x1f\x7f]{1,200}$"

MADE = re.compile(rb"(?<![0-9A-Za-z])[0-9a-f]{12,64}(?![0-9A-Za-z])")
UUID = re.compile(rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""Ids that programs make. Only these are looked for within texts: a name that a person chose, as `ann`, may stand in
anybody's text by chance, and counts where it is the whole of a value."""

PAGES = (".html", ".md")
"""Files for people, made of the figures that lie beside them: they may have a subject's words without naming it."""

OF_USER = "user "
"""How tables of reports name a user beside accounts and models."""


class Subject(Frozen):
    """A job or a person.

    Attributes:
        kind: `job`: a unit of work by its id: a job, its task in the REST API, an agent's or team's run, a request, a
            conversation, a session on an II-Agent server, a swarm. `person`: one for whom work is done, by the name of
            the user, of the gateway key or of its owner.
        id: The id or the name.
    """

    kind: Kind
    id: str = Field(pattern=NAME)

    def __str__(self) -> str:
        return f"{self.kind} {self.id}"


class Traces(Frozen):
    """By which names a subject's data is found.

    Attributes:
        subject: Whose.
        users: Names of a person; empty for a job.
        keys: Ids of gateway keys of a person.
        jobs: Jobs of which audio, transcript and results are kept.
        runs: Runs of agents and teams, requests, swarms, by the ids that the books have them under.
        sessions: Conversations and sessions.
        flow_runs: Prefect's flow runs.
        uploads: Folders of uploads.
        open_runs: Those flow runs that are not over.
        shared: Jobs that others have asked for, too: these stay theirs.
    """

    subject: Subject
    users: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    jobs: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()
    sessions: tuple[str, ...] = ()
    flow_runs: tuple[str, ...] = ()
    uploads: tuple[str, ...] = ()
    open_runs: tuple[str, ...] = ()
    shared: tuple[str, ...] = ()

    @cached_property
    def ids(self) -> frozenset[str]:
        """All of them."""
        return frozenset((*self.users, *self.works))

    @cached_property
    def works(self) -> frozenset[str]:
        """All that name work, and no person."""
        return frozenset((*self.jobs, *self.runs, *self.sessions, *self.flow_runs, *self.uploads))

    @cached_property
    def unnamed(self) -> "Traces":
        """Without the names of people: for places that name work alone, where a name is but somebody's word."""
        return Traces.model_validate({**self.model_dump(), "users": ()})

    @cached_property
    def _bytes(self) -> frozenset[bytes]:
        return frozenset(one.encode() for one in self.works)

    def touches(self, other: "Traces") -> bool:
        """Whether data of one is data of the other, too."""
        return not self.ids.isdisjoint(other.ids)

    def in_text(self, content: bytes) -> bool:
        """Whether a text names the work, by an id that a program made."""
        found = {*MADE.findall(content), *UUID.findall(content)}
        return not found.isdisjoint(self._bytes)

    def in_values(self, value: Any) -> bool:
        """Whether a text within JSON is one of the ids, or names the work."""
        return any(
            text.removeprefix(OF_USER) in self.ids or self.in_text(text.encode("utf-8", "replace"))
            for text in texts_in(value)
        )

    def in_entry(self, entry: Mapping[str, Any]) -> bool:
        """Whether an entry of the audit, as JSON, is about the subject."""
        own = {entry.get("user"), entry.get("run_id"), entry.get("session")}
        return not own.isdisjoint(self.ids) or any(
            self.in_text(text.encode("utf-8", "replace")) for text in texts_in(entry)
        )

    def in_line(self, line: bytes) -> bool:
        """Whether a line, JSON or not, is about the subject."""
        if self.in_text(line):
            return True
        try:
            value: Any = json.loads(line)
        except ValueError:
            return False
        return isinstance(value, dict) and any(text in self.ids for text in texts_in(value))

    def in_file(self, content: bytes) -> bool:
        """Whether a file names the subject: JSON as a whole, or one of its lines."""
        if self.in_text(content):
            return True
        with suppress(ValueError):
            return self.in_values(json.loads(content))
        return any(self.in_line(line) for line in content.splitlines())


def texts_in(value: Any) -> Iterator[str]:
    """All texts within JSON, but for names of fields."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in cast("dict[str, Any]", value).values():
            yield from texts_in(item)
    elif isinstance(value, list):
        for item in cast("list[Any]", value):
            yield from texts_in(item)


def pseudonym(key: bytes, subject: Subject) -> str:
    """What stands for a subject in records that outlive its data.

    A plain hash of a name or of an id can be found by trying names. Whoever has the key can tell whether a record is
    about somebody that is named to them, and nobody else can.

    Args:
        key: Of the audit log.
        subject: Who.
    """
    return hmac.digest(key, f"subject\n{subject.kind}\n{subject.id}".encode(), "sha256").hex()[:32]
