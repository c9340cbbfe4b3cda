"""The figures of stored results, added up one result at a time: what is kept of each are some numbers."""

from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from blocks.job import JobResult
from blocks.store.files import Files
from tasks.quality.report.period import Period, Span
from tasks.quality.results import Unreadable, stored_results

MOST_NAMES = 100
"""Engines, templates, steps or codes told apart; the names in results come from outside."""

OTHER = "other"
NO_TEMPLATE = "none"
TEXT = "text, no speech engine"


def numbers() -> "array[float]":
    """Numbers of eight bytes each."""
    return array("d")


@dataclass
class Group:
    """Jobs that have an engine or a template in common.

    Attributes:
        jobs: How many.
        audio_s: Seconds of their audio.
        rtf: Their real-time factors.
    """

    jobs: int = 0
    audio_s: float = 0.0
    rtf: "array[float]" = field(default_factory=numbers)


@dataclass
class Tally:
    """The results of one period.

    Attributes:
        span: The period.
        slices: In how many parts it is looked at.
        statuses: Jobs by their status.
        jobs, audio_s: Jobs, and seconds of their audio, by slice.
        rtf, coverage, confidence, edits: Of each job that has one.
        removed: Segments that the guard took out.
        engines, templates: Jobs by engine and by template.
        noticed: Jobs with a notice.
        notices: Jobs by the codes of their notices.
        steps: Seconds of each step that was computed, by name.
    """

    span: Span
    slices: int
    statuses: Counter[str] = field(default_factory=Counter[str])
    jobs: list[int] = field(init=False)
    audio_s: list[float] = field(init=False)
    rtf: "array[float]" = field(default_factory=numbers)
    coverage: "array[float]" = field(default_factory=numbers)
    confidence: "array[float]" = field(default_factory=numbers)
    edits: "array[float]" = field(default_factory=numbers)
    removed: int = 0
    engines: dict[str, Group] = field(default_factory=dict[str, Group])
    templates: dict[str, Group] = field(default_factory=dict[str, Group])
    noticed: int = 0
    notices: Counter[str] = field(default_factory=Counter[str])
    steps: "dict[str, array[float]]" = field(default_factory=lambda: dict[str, "array[float]"]())

    def __post_init__(self) -> None:
        self.jobs, self.audio_s = [0] * self.slices, [0.0] * self.slices

    @property
    def done(self) -> int:
        """How many results there are."""
        return sum(self.statuses.values())

    def add(self, result: JobResult, finished_at: datetime) -> None:
        """Count a result of the period."""
        metrics, place = result.metrics, self.span.slice_of(finished_at, self.slices)
        self.statuses[result.status] += 1
        self.jobs[place] += 1
        self.audio_s[place] += metrics.input_duration_s
        for values, one in (
            (self.rtf, metrics.rtf),
            (self.coverage, metrics.vad_coverage),
            (self.confidence, metrics.asr_confidence_avg),
            (self.edits, metrics.edit_rate_cleaning),
        ):
            if one is not None:
                values.append(one)
        self.removed += result.removed
        for groups, name in ((self.engines, _engine(result)), (self.templates, _template(result))):
            group = groups.setdefault(_known(groups, name), Group())
            group.jobs += 1
            group.audio_s += metrics.input_duration_s
            if metrics.rtf is not None:
                group.rtf.append(metrics.rtf)
        self.noticed += bool(result.notices)
        for code in {notice.code for notice in result.notices}:
            self.notices[_known(self.notices, code)] += 1
        for step, seconds in metrics.step_time_s.items():
            if seconds > 0:  # one that was found done took nothing
                self.steps.setdefault(_known(self.steps, step), numbers()).append(seconds)


@dataclass
class Results:
    """The results of a period and of the one before it.

    Attributes:
        now, before: Their figures.
        unreadable: Files that cannot be read; the first ones.
        unreadable_count: How many there are.
    """

    now: Tally
    before: Tally
    unreadable: list[Unreadable] = field(default_factory=list[Unreadable])
    unreadable_count: int = 0

    @property
    def both(self) -> tuple[Tally, Tally]:
        """The period's, and those of the one before."""
        return self.now, self.before


MOST_UNREADABLE = 5


def tallied(files: Files, period: Period) -> Results:
    """Read the results of a period and of the one before it. Raises `StoreFailed`."""
    found = Results(Tally(period.now, period.slices), Tally(period.before, period.slices))

    def note(one: Unreadable) -> None:
        found.unreadable_count += 1
        if len(found.unreadable) < MOST_UNREADABLE:
            found.unreadable.append(one)

    for one in stored_results(files, period.before_since, period.until, on_unreadable=note):
        for tally in (found.now, found.before):
            if one.finished_at in tally.span:
                tally.add(one.result, one.finished_at)
    return found


def most(groups: dict[str, Group]) -> Iterator[tuple[str, Group]]:
    """Groups with the most jobs first."""
    yield from sorted(groups.items(), key=lambda item: (-item[1].jobs, item[0]))


def _known(names: "dict[str, Group] | Counter[str] | dict[str, array[float]]", name: str) -> str:
    return name if name in names or len(names) < MOST_NAMES else OTHER


def _engine(result: JobResult) -> str:
    engine = result.versions.speech
    if engine is None:
        return TEXT
    return f"{engine.name} ({engine.model})" if engine.model else engine.name


def _template(result: JobResult) -> str:
    """The template that was asked for; a result without a summary has none."""
    return result.versions.template or NO_TEMPLATE
