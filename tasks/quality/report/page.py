"""A report as one HTML file."""

import re
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

from blocks.page import document
from blocks.plain_text import plain
from tasks.quality.report.markdown import headline
from tasks.quality.report.report import Cell, Figure, Gap, OperationsReport, Part, Table, Unit, changed, number
from tasks.quality.report.svg import chart_svg

UNBROKEN = re.compile(r"(\d{4}-\d\d-\d\d( \d\d:\d\d)?|c500 [\w -]{,30})$")
"""Moments and commands, which stay on a line."""

CARDS_FROM = 3
"""Columns of texts."""

LONG_WORD = re.compile(r"(\S{24})(?=\S)")
STYLE = Path(__file__).with_name("page.css")


def report_page(report: OperationsReport) -> str:
    """The whole page."""
    title = f"Operations: {report.period.title}"
    return document(title, "".join(_content(report, title)), STYLE)


def _content(report: OperationsReport, title: str) -> Iterator[str]:
    yield f"<header><h1>{_text(title)}</h1>"
    yield f'<p class="headline">{escape(headline(report))}</p>'
    yield f'<p class="soft small">{_about(report)}</p></header>'
    if report.summary:
        said = escape(" ".join(plain(line) for line in report.summary.splitlines()))
        by = (
            ""
            if report.written_by == "rules"
            else f' <span class="soft small">(Written by {_text(report.written_by)}.)</span>'
        )
        yield f'<p class="summary">{said}{by}</p>'
    yield from _gaps(report.gaps)
    yield "<nav><ul>"
    for part in report.parts:
        mark = " *" if any(one.is_news for one in part.figures) else ""
        yield f'<li><a href="#{escape(part.name)}">{escape(part.title)}{mark}</a></li>'
    yield "</ul></nav><main>"
    for part in report.parts:
        yield from _part(part)
    yield "</main>"


def _about(report: OperationsReport) -> str:
    period = report.period
    return escape(
        f"{period.since:%Y-%m-%d %H:%M} to {period.until:%Y-%m-%d %H:%M} UTC, days of {period.zone}; compared with "
        f"{period.before_since:%Y-%m-%d %H:%M} to {period.before_until:%Y-%m-%d %H:%M} UTC. "
        f"Made {report.made_at:%Y-%m-%d %H:%M} UTC."
    )


def _gaps(gaps: Sequence[Gap]) -> Iterator[str]:
    if not gaps:
        return
    yield '<section class="gaps"><h2>Could not be read</h2><ul>'
    for gap in gaps:
        yield f"<li><b>{_text(gap.source)}</b>: {_text(gap.why)}. Fix: {_text(gap.fix)}.</li>"
    yield "</ul></section>"


def _part(part: Part) -> Iterator[str]:
    yield f'<section id="{escape(part.name)}"><h2>{escape(part.title)}</h2>'
    for gap in part.gaps:
        yield f'<p class="soft small">Missing: {_text(gap.source)}.</p>'
    for note in part.notes:
        yield f"<p>{_text(note)}</p>"
    if part.told:
        yield '<div class="figures">'
        for one in part.told:
            yield _figure(one)
        yield "</div>"
    if part.nothing:
        yield f'<p class="soft small">{escape(part.nothing)}</p>'
    for chart in part.charts:
        legend = '<span class="key"><i class="k-now"></i>this period <i class="k-before"></i>before</span>'
        yield f"<figure><figcaption>{_text(chart.title)}{legend if chart.before else ''}</figcaption>"
        yield f"{chart_svg(chart)}</figure>"
    for table in part.tables:
        yield from _table(table)
    if not (part.figures or part.tables or part.notes or part.gaps):
        yield '<p class="soft small">Nothing in either period.</p>'
    yield "</section>"


def _figure(one: Figure) -> str:
    told = changed(one)
    kind = "" if not one.is_news else " worse" if one.is_worse else " better" if one.better else " news"
    before = "" if one.before is None else f", before {number(one.before, one.unit)}"
    mark = "▲ " if one.is_news and (one.change or 0) > 0 else "▼ " if one.is_news else ""
    change = f'<span class="change">{mark}{escape(told)}{escape(before)}</span>' if told else ""
    value = escape(number(one.value, one.unit))
    return f'<div class="figure{kind}"><span class="label">{escape(one.label)}</span><b>{value}</b>{change}</div>'


def _table(table: Table) -> Iterator[str]:
    # With many texts in a row a phone shows each row as a card, and not a table that leads far to the right.
    kind = ' class="cards"' if table.units.count("text") >= CARDS_FROM else ""
    yield f'<div class="wide"><table{kind}><caption>{_text(table.title)}</caption><thead><tr>'
    for name, unit in zip(table.head, table.units, strict=True):
        yield f'<th scope="col"{_aligned(unit)}>{escape(name)}</th>'
    yield "</tr></thead><tbody>"
    for row in table.rows:
        yield "<tr>"
        for name, value, unit in zip(table.head, row, table.units, strict=True):
            whole = isinstance(value, str) and UNBROKEN.match(value)
            kind = ' class="d"' if whole else _aligned(unit)
            yield f'<td{kind} data-name="{escape(name)}">{_cell(value, unit)}</td>'
        yield "</tr>"
    yield "</tbody></table></div>"
    if table.more:
        yield f'<p class="soft small">and {table.more:,} more</p>'


def _aligned(unit: Unit) -> str:
    return "" if unit == "text" else ' class="n"'


def _cell(value: Cell, unit: Unit) -> str:
    return _broken(value) if isinstance(value, str) else escape(number(value, unit))


def _broken(text: str) -> str:
    """A text from outside of which long words may be broken, and no others: a browser that may break all does."""
    pieces = LONG_WORD.split(plain(text))
    return "<wbr>".join(escape(one) for one in pieces if one)


def _text(text: str) -> str:
    """A text from outside."""
    return escape(plain(text))
