"""What came of planning, for programs and for people."""

from collections.abc import Iterator
from datetime import UTC, datetime
from math import inf
from typing import Literal

from blocks.markdown import code
from blocks.model import Frozen
from blocks.plain_text import cut, plain
from tasks.ops.capacity.plan import Level
from tasks.ops.worded import Worded, summary_lines

ORDER: tuple[Level, ...] = ("critical", "warn", "unknown", "notice", "ok")
Status = Literal["forecast", "exhausted", "too_little", "failed"]


class Outlook(Frozen):
    """What is said of a resource.

    Attributes:
        name: Of the resource, with the labels of its series where there are several.
        status: `forecast`; `exhausted`: it has run out; `too_little`: its history says nothing; `failed`: no history.
        level: How urgent it is.
        says: The recommendation, or why there is none.
        unit: Of the values.
        limit: At which it has run out.
        now: Its latest value.
        likely_days, earliest_days, latest_days: From now until it runs out, and the interval; None: not while looked
            ahead.
        confidence: Share of what may come that the interval holds.
        looked_days: How far was looked ahead.
        per_day: How much it grows each day.
        needed, runway_days: The limit that it would need to last so long.
        model: What foretold its past best, and what is used with it.
        scores: Of the models, in the unit; less is better.
        held: Share of the values in the backtest that the interval held.
        season: After how many periods it repeats itself.
        period: `day` or `hour`.
        history_days: How long the history is.
        gaps, dropped: Periods without samples, and samples that could not be used.
        resets: Drops that were taken out.
        as_of: Where the history ends.
        chart: Key of the picture in the store.
    """

    name: str
    status: Status
    level: Level
    says: str
    unit: str = ""
    limit: float | None = None
    now: float | None = None
    likely_days: float | None = None
    earliest_days: float | None = None
    latest_days: float | None = None
    confidence: float = 0.9
    looked_days: float | None = None
    per_day: float | None = None
    needed: float | None = None
    runway_days: int | None = None
    model: str | None = None
    scores: dict[str, float] | None = None
    held: float | None = None
    season: int | None = None
    period: str | None = None
    history_days: float | None = None
    gaps: int = 0
    dropped: int = 0
    resets: tuple[datetime, ...] = ()
    as_of: datetime | None = None
    chart: str | None = None


class CapacityReport(Worded):
    """What came of a run.

    Attributes:
        run_id: Of the run.
        plan: The file.
        outlooks: By resource.
    """

    run_id: str
    plan: str
    outlooks: tuple[Outlook, ...]

    @property
    def worst(self) -> Level:
        """What a person should know."""
        found = {one.level for one in self.outlooks}
        for level in ORDER:
            if level in found:
                return level
        return "ok"

    @property
    def ok(self) -> bool:
        """Whether nobody has to do anything soon, and all is known."""
        return self.worst in ("ok", "notice")


def headline(report: CapacityReport) -> str:
    """One line: how many are how urgent."""
    counts = [(level, sum(one.level == level for one in report.outlooks)) for level in ORDER]
    return f"Capacity: {', '.join(f'{count} {level}' for level, count in counts if count)}"


def report_markdown(report: CapacityReport) -> str:
    """The whole as Markdown, what is urgent first."""
    lines = [f"# {headline(report)}", "", *summary_lines(report), f"run `{report.run_id}`, {code(report.plan)}", ""]
    for one in sorted(report.outlooks, key=_urgency):
        lines += [f"## {one.level}: {code(plain(one.name))}", "", *_lines(one), ""]
    return "\n".join(lines).rstrip() + "\n"


def _urgency(one: Outlook) -> tuple[int, float]:
    return ORDER.index(one.level), inf if one.earliest_days is None else one.earliest_days


def _lines(one: Outlook) -> Iterator[str]:
    yield plain(cut(one.says, 500))
    yield ""
    if one.now is not None and one.limit is not None:
        unit = f" {plain(one.unit)}" if one.unit else ""
        share = f" ({one.now / one.limit:.0%})" if one.limit > 0 else ""
        yield f"- now {amount(one.now)} of {amount(one.limit)}{unit}{share}"
    if one.status == "forecast":
        yield f"- runs out {when(one)}"
        lasting = f"to last {one.runway_days} days it needs {amount(one.needed or 0)}"
        yield f"- grows {amount(one.per_day or 0)} a day; {lasting}"
        yield f"- foretold by: {one.model}; in the backtest the interval held {one.held or 0:.0%} of the values"
    if one.history_days is not None:
        season = f", repeats itself every {one.season} {one.period}s" if one.season else ""
        lacks = f"{one.gaps} gaps, {one.dropped} samples dropped"
        ends = "" if one.as_of is None else f" to {one.as_of:%Y-%m-%d %H:%M} UTC"
        yield f"- {one.history_days:.0f} days of history by {one.period}{ends}, {lacks}{season}"
    if one.resets:
        days = ", ".join(f"{moment:%Y-%m-%d}" for moment in one.resets[:5])
        yield f"- {len(one.resets)} drops taken out: {days}"
    if one.chart:
        yield f"- chart: {code(one.chart)}"


def when(one: Outlook) -> str:
    """When it runs out, for people: the middle, and the interval."""
    looked = f"{one.looked_days or 0:.0f}"
    if one.earliest_days is None:
        return f"not within {looked} days"
    late = f"more than {looked}" if one.latest_days is None else f"{one.latest_days:.0f}"
    likely = f"not within {looked}" if one.likely_days is None else f"in about {one.likely_days:.0f}"
    return f"{likely} days, with {one.confidence:.0%} between {one.earliest_days:.0f} and {late} days"


def amount(value: float) -> str:
    """A number for people, of any size."""
    for size, letter in ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M")):
        if abs(value) >= size:
            return f"{value / size:.4g} {letter}"
    return f"{value:.0f}" if abs(value) >= 1e4 else f"{value:.4g}"


def moment(time_s: float) -> datetime:
    """A Unix time as a moment."""
    return datetime.fromtimestamp(time_s, UTC)
