"""The context of an incident: facts from six sources, gathered side by side, each with a deadline of its own."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from threading import Lock
from typing import Literal

import structlog
from pydantic import AwareDatetime, Field

from blocks.errors import C500Error, Stopped
from blocks.model import Frozen
from blocks.plain_text import cut, visible

SourceName = Literal["metrics", "logs", "changes", "similar", "runbooks", "service"]

SOURCES: tuple[SourceName, ...] = ("metrics", "logs", "changes", "similar", "runbooks", "service")

Value = float | int | str | bool | None

FactKind = Literal[
    "metric", "log_errors", "log_lines", "commit", "deployment", "case", "runbook", "service", "dependency", "incident"
]

TEXT_CHARS = 4000
MOST_FACTS = 60
"""Of a source."""
REASON_CHARS = 300

log = structlog.stdlib.get_logger("c500")


class Fact(Frozen):
    """Something that a source knows; its texts are data from outside.

    Attributes:
        fact_id: Names it within the incident, as `logs-2`.
        source: Which source.
        kind: What kind of thing.
        title: What it is, in a line.
        text: More of it.
        at: When it was so.
        values: Numbers and names for rules.
    """

    fact_id: str
    source: SourceName
    kind: FactKind
    title: str
    text: str = ""
    at: AwareDatetime | None = None
    values: dict[str, Value] = Field(default_factory=dict[str, Value])


class SourceReport(Frozen):
    """What a source gave.

    Attributes:
        source: Which.
        facts: What it knows.
        gaps: What it could not find out, and why.
        took_s: Seconds.
    """

    source: SourceName
    facts: tuple[Fact, ...] = ()
    gaps: tuple[str, ...] = ()
    took_s: float = 0.0


class Context(Frozen):
    """All that was gathered.

    Attributes:
        gathered_at: When.
        reports: One of each source.
    """

    gathered_at: AwareDatetime
    reports: tuple[SourceReport, ...]

    @property
    def facts(self) -> tuple[Fact, ...]:
        """Of all sources."""
        return tuple(fact for report in self.reports for fact in report.facts)

    @property
    def gaps(self) -> tuple[tuple[SourceName, str], ...]:
        """Of all sources."""
        return tuple((report.source, gap) for report in self.reports for gap in report.gaps)

    def of(self, *kinds: FactKind) -> list[Fact]:
        """The facts of some kinds."""
        return [fact for fact in self.facts if fact.kind in kinds]


@dataclass
class Finds:
    """What a source has found so far; it stands also where the source is cut off.

    Attributes:
        source: Which.
        clean: Takes secrets out of a text.
        facts, gaps: What it knows, and what it could not find out.
        waiting: What it is looking at.
    """

    source: SourceName
    clean: Callable[[str], str]
    facts: list[Fact] = field(default_factory=list[Fact])
    gaps: list[str] = field(default_factory=list[str])
    waiting: list[str] = field(default_factory=list[str])
    _adding: Lock = field(default_factory=Lock)

    def fact(self, kind: FactKind, title: str, text: str = "", *, at: datetime | None = None, **values: Value) -> None:
        """Note a fact; its texts are cleaned. Of too many the rest is a gap."""
        if len(self.facts) >= MOST_FACTS:
            self._left_out()
            return
        known = {name: self._line(value, 500) if isinstance(value, str) else value for name, value in values.items()}
        line, whole = self._line(title, 300), cut(self.clean(_storable(text)), TEXT_CHARS)
        with self._adding:  # several threads may look at once, and no two facts have one id
            fact_id = f"{self.source}-{len(self.facts) + 1}"
            self.facts.append(
                Fact(fact_id=fact_id, source=self.source, kind=kind, title=line, text=whole, at=at, values=known)
            )

    def gap(self, what: str, why: str) -> None:
        """Note what could not be found out, and why."""
        self.gaps.append(self._line(f"{what}: {why}" if what else why, REASON_CHARS))

    async def look(self, what: str, looked: Awaitable[None]) -> None:
        """Look at one thing among others: what goes wrong is a gap, and nothing else is hurt."""
        self.waiting.append(what)
        try:
            await looked
        except Stopped:
            raise
        except C500Error as error:
            self.gap(what, error.message)
        except Exception as error:  # told as a gap, with its traceback in the log
            log.warning("incident_source_failed", source=self.source, what=what, exc_info=True)
            self.gap(what, f"{type(error).__name__}: {error}")
        self.waiting.remove(what)

    def _left_out(self) -> None:
        why = f"there is more than the {MOST_FACTS} facts that are kept"
        if why not in self.gaps:
            self.gap("", why)

    def _line(self, text: str, most: int) -> str:
        return " ".join(self.clean(_storable(text)).split())[:most]


Source = Callable[[Finds], Awaitable[None]]
"""Notes what it finds; what it raises is a gap."""


async def gather(
    sources: Mapping[SourceName, Source], *, source_s: float, clean: Callable[[str], str], now: Callable[[], datetime]
) -> Context:
    """Ask all sources side by side.

    Args:
        sources: By name.
        source_s: Seconds that each has; what it has found by then counts, what it waits for is a gap.
        clean: Takes secrets out of a text.
        now: The time.

    Raises:
        Stopped: a switch stops the run.
    """

    async def ask(name: SourceName, source: Source) -> SourceReport:
        finds, began = Finds(name, clean), time.monotonic()
        try:
            async with asyncio.timeout(source_s):
                await finds.look("", source(finds))
        except TimeoutError:
            for what in dict.fromkeys(finds.waiting):
                if what or len(finds.waiting) == 1:
                    finds.gap(what, f"no answer within {source_s:g} s")
        took_s = round(time.monotonic() - began, 3)
        return SourceReport(source=name, facts=tuple(finds.facts), gaps=tuple(finds.gaps), took_s=took_s)

    reports = await asyncio.gather(*(ask(name, source) for name, source in sources.items()))
    return Context(gathered_at=now(), reports=tuple(reports))


def _storable(text: str) -> str:
    return visible(text.encode(errors="replace").decode())
