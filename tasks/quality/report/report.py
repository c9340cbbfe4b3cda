"""A report as data: parts of figures, tables and charts, which every form of it is made from."""

from collections.abc import Sequence
from datetime import datetime
from math import isfinite
from typing import Literal

from blocks.errors import C500Error
from blocks.model import Frozen
from blocks.plain_text import plain
from tasks.quality.report.period import Period

Unit = Literal["count", "s", "h", "usd", "share", "ratio", "text"]
"""What a number is; `share` of 1 is shown as per cent, `ratio` as it is."""

Better = Literal["more", "less", ""]
Cell = str | float | int | None

MOST_ROWS = 10
"""Of a table, the worst or largest."""

CELL_CHARS = 120


class Figure(Frozen):
    """A number, and that of the period before.

    Attributes:
        name: Names it for programs.
        label: What it is, for people.
        value: None where there is nothing to count.
        unit: Of the value.
        before: The same of the period before; None where it is not known, or there is nothing to compare.
        is_news: Whether it differs by more than chance does.
        better: Whether more of it is better, or less.
    """

    name: str
    label: str
    value: float | None
    unit: Unit = "count"
    before: float | None = None
    is_news: bool = False
    better: Better = ""

    @property
    def change(self) -> float | None:
        """Difference to the period before."""
        return None if self.value is None or self.before is None else self.value - self.before

    @property
    def change_share(self) -> float | None:
        """The same as a part of what it was; None where that was nothing."""
        return None if self.change is None or not self.before else self.change / abs(self.before)

    @property
    def is_worse(self) -> bool:
        """Whether it has changed for the worse by more than chance does."""
        return self.is_news and self.better != "" and ((self.change or 0) > 0) == (self.better == "less")


class Table(Frozen):
    """A table.

    Attributes:
        title: What it is.
        head: The names of its columns.
        units: Of its columns.
        rows: Its rows.
        more: How many rows are left out.
    """

    title: str
    head: tuple[str, ...]
    units: tuple[Unit, ...]
    rows: tuple[tuple[Cell, ...], ...]
    more: int = 0


class Chart(Frozen):
    """Bars, one beside the other.

    Attributes:
        title: What they are.
        labels: Of the bars.
        values: Their lengths.
        before: Those of the period before, in the same order; empty for none.
        unit: Of the values.
        is_ranking: Whether the bars are things with long names, largest first, and not moments.
    """

    title: str
    labels: tuple[str, ...]
    values: tuple[float, ...]
    before: tuple[float, ...] = ()
    unit: Unit = "count"
    is_ranking: bool = False


class Gap(Frozen):
    """Something that could not be read.

    Attributes:
        source: What.
        why: Why.
        fix: What to do.
    """

    source: str
    why: str
    fix: str


class Part(Frozen):
    """A part of a report.

    Attributes:
        name: Names it for programs.
        title: For people.
        figures, tables, charts: What it says.
        notes: Sentences.
        gaps: What is missing in it.
    """

    name: str
    title: str
    figures: tuple[Figure, ...] = ()
    tables: tuple[Table, ...] = ()
    charts: tuple[Chart, ...] = ()
    notes: tuple[str, ...] = ()
    gaps: tuple[Gap, ...] = ()

    @property
    def told(self) -> tuple[Figure, ...]:
        """Figures that are something, in either period."""
        return tuple(one for one in self.figures if one.value or one.before)

    @property
    def nothing(self) -> str:
        """Of what there was nothing in either period, in a sentence; empty where there is no such thing."""
        none = [one.label for one in self.figures if not (one.value or one.before)]
        if not none or (self.notes and not self.told):
            return ""
        return f"Nothing in either period: {'; '.join(none)}." if self.told else "Nothing in either period."

    def figure(self, name: str) -> float | None:
        """The value of a figure; None where there is none."""
        return next((one.value for one in self.figures if one.name == name), None)


class OperationsReport(Frozen):
    """What happened in a period.

    Attributes:
        run_id: Of the run that made it.
        period: Which.
        made_at: When it was made.
        parts: What it says.
        summary: What it means, in a few sentences; empty where nobody wrote them.
        written_by: Who wrote the summary: `rules`, or a model.
        place: Where it lies in the store; empty for a dry run.
        posted: Whether the operators got it, in words; empty where it was not sent.
        is_sent: Whether one of their channels took it.
    """

    run_id: str
    period: Period
    made_at: datetime
    parts: tuple[Part, ...]
    summary: str = ""
    written_by: str = "rules"
    place: str = ""
    posted: str = ""
    is_sent: bool = False

    def part(self, name: str) -> Part:
        """One of its parts."""
        return next(one for one in self.parts if one.name == name)

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """All that could not be read, each once."""
        return tuple(dict.fromkeys(gap for part in self.parts for gap in part.gaps))

    @property
    def news(self) -> tuple[Figure, ...]:
        """Figures that have changed by more than chance does, those that got worse first."""
        found = [one for part in self.parts for one in part.figures if one.is_news]
        return tuple(sorted(found, key=lambda one: not one.is_worse))

    @property
    def is_empty(self) -> bool:
        """Whether nothing happened, as far as it is known."""
        figures = [one for part in self.parts if part.name != "people" for one in part.figures]
        return not any(one.value for one in figures)


def table_of(
    title: str, columns: dict[str, Unit], rows: Sequence[Sequence[Cell]], most: int = MOST_ROWS, *, more: int = 0
) -> tuple[Table, ...]:
    """A table of the first rows; none where there are no rows.

    Args:
        title: What it is.
        columns: Names and units.
        rows: The rows, most important first; texts may come from outside.
        most: How many are shown.
        more: Further rows, which are not given.
    """
    if not rows:
        return ()
    shown = tuple(tuple(shortened(one) if isinstance(one, str) else one for one in row) for row in rows[:most])
    left_out = max(0, len(rows) - most) + more
    return (Table(title=title, head=tuple(columns), units=tuple(columns.values()), rows=shown, more=left_out),)


def shortened(text: str) -> str:
    """A text from outside in a line of bounded length, with nothing in it that is not seen."""
    shown = plain(" ".join(text.split()))
    return shown if len(shown) <= CELL_CHARS else f"{shown[: CELL_CHARS - 1]}…"


def gap_of(source: str, error: C500Error | Exception) -> Gap:
    """Why a source cannot be read."""
    if isinstance(error, C500Error):
        return Gap(source=source, why=shortened(error.message), fix=shortened(error.fix))
    return Gap(
        source=source,
        why=shortened(f"{type(error).__name__}: {error}"),
        fix="see the log of this run, and report it",
    )


def number(value: float | None, unit: Unit) -> str:
    """A number as people read it; `n/a` for none."""
    if value is None or not isfinite(value):
        return "n/a"
    if unit == "count":
        return f"{value:,.0f}"
    if unit == "usd":
        return f"${value:,.2f}" if abs(value) >= 0.1 or not value else f"${value:,.4f}"
    if unit == "share":
        return f"{value:.1%}"
    if unit == "s":
        return duration(value)
    return f"{value:,.1f} h" if unit == "h" else f"{value:,.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def duration(seconds: float) -> str:
    """Seconds as people read them."""
    for size, most, name in ((1, 120, "s"), (60, 120, "min"), (3600, 72, "h")):
        if abs(seconds) < most * size:
            return f"{seconds / size:.3g} {name}"
    return f"{seconds / 86_400:,.1f} days"


def changed(figure: Figure) -> str:
    """How a figure differs from the period before, as `+12 (+30 %)`; empty where there is nothing to compare."""
    if figure.change is None:
        return ""
    if not figure.change:
        return "±0"
    sign = "+" if figure.change > 0 else "−"
    told = (
        f"{sign}{abs(100 * figure.change):.1f} points"
        if figure.unit == "share"
        else f"{sign}{number(abs(figure.change), figure.unit)}"
    )
    share = figure.change_share
    return told if share is None or figure.unit == "share" else f"{told} ({sign}{abs(share):.0%})"
