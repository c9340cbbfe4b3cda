"""What an audit found, for programs and for people."""

from typing import Literal

from blocks.model import Frozen
from blocks.plain_text import plain
from tasks.quality.audit.drift import DriftRow
from tasks.quality.audit.history import PeriodRow
from tasks.quality.audit.suite_files import Severity, TableName
from tasks.quality.results import Unreadable

Outcome = Literal["passed", "failed", "broken", "not_judged"]
Verdict = Literal["passed", "warned", "failed"]

MOST_SAMPLES = 10


class Sample(Frozen):
    """A row that does not meet an expectation: what names it, and its value."""

    key: str
    value: str


class Judged(Frozen):
    """What became of an expectation.

    Attributes:
        suite: Its suite.
        id: Its name there.
        column: Columns it is about, joined by commas; empty for the whole table.
        says: What it asks for, in great-expectations' words.
        about, source, severity: As its suite says.
        outcome: `broken` when it could not be judged, which counts as failed; `not_judged` with too few rows.
        observed: What was found, in a few words.
        rows: Rows with a value.
        unexpected: How many of them do not meet it; None where it is about the table as a whole.
        samples: The first of these.
        why: Why it was not judged, or is broken.
        where: File and line that it was written in.
    """

    suite: str
    id: str
    column: str = ""
    says: str
    about: str = ""
    source: str = ""
    severity: Severity
    outcome: Outcome
    observed: str = ""
    rows: int = 0
    unexpected: int | None = None
    samples: tuple[Sample, ...] = ()
    why: str = ""
    where: str = ""

    @property
    def name(self) -> str:
        """Names it among all suites."""
        return f"{self.suite}/{self.id}"

    @property
    def is_bad(self) -> bool:
        """Whether people are told of it."""
        return self.outcome in ("failed", "broken") and self.severity != "info"

    @property
    def line(self) -> str:
        """What went wrong, in a line."""
        found = self.why if self.outcome == "broken" else self.observed
        return plain(f"{self.name}: {self.about or self.says} Found: {found}")


class JudgedSuite(Frozen):
    """A suite with what became of its expectations."""

    name: str
    table: TableName
    title: str
    rows: int
    expectations: tuple[Judged, ...]

    def count(self, outcome: Outcome) -> int:
        """How many of them ended so."""
        return sum(one.outcome == outcome for one in self.expectations)


class AuditReport(Frozen):
    """An audit of a period; its page lies in the store under `quality/docs/`.

    Attributes:
        run_id: Of the run that made it.
        period: The period in figures.
        suites: What was judged.
        drift: Each measure against the period before.
        unreadable: Files that cannot be read, the first ones.
        lost: Jobs without a result, the first ones.
        notes: What the reader should know: what could not be looked at.
        page: Where the page is.
        posted: What became of the message to the operators; empty when there was nothing to tell.
        dry_run: Whether nothing was kept.
    """

    run_id: str
    period: PeriodRow
    suites: tuple[JudgedSuite, ...]
    drift: tuple[DriftRow, ...] = ()
    unreadable: tuple[Unreadable, ...] = ()
    lost: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    page: str = ""
    posted: str = ""
    dry_run: bool = False

    @property
    def bad(self) -> tuple[Judged, ...]:
        """What people are told of, the critical first."""
        return bad_of(self.suites)

    @property
    def verdict(self) -> Verdict:
        """The worst that was found."""
        return verdict_of(self.suites)

    @property
    def summary(self) -> str:
        """The audit in a line."""
        judged = sum(suite.count("passed") + suite.count("failed") + suite.count("broken") for suite in self.suites)
        jobs = f"{self.period.jobs:,} job{'' if self.period.jobs == 1 else 's'}"
        return f"quality of {self.period.name} {self.verdict}: {jobs}, {len(self.bad)} of {judged} expectations not met"


def bad_of(suites: tuple[JudgedSuite, ...]) -> tuple[Judged, ...]:
    """Expectations that people are told of, the critical first."""
    bad = [one for suite in suites for one in suite.expectations if one.is_bad]
    return tuple(sorted(bad, key=lambda one: one.severity != "critical"))


def verdict_of(suites: tuple[JudgedSuite, ...]) -> Verdict:
    """The worst of what was found."""
    bad = bad_of(suites)
    return "failed" if any(one.severity == "critical" for one in bad) else "warned" if bad else "passed"
