"""A report as Markdown, and as the short message that operators get."""

from collections.abc import Iterator, Sequence

from blocks.markdown import code, inert
from blocks.plain_text import plain
from tasks.quality.report.report import (
    Cell,
    Figure,
    Gap,
    OperationsReport,
    Part,
    Table,
    Unit,
    changed,
    number,
)

MESSAGE_CHARS = 1500
"""Chat services cut what is much longer."""

SUBJECT_CHARS = 160
MOST_NEWS = 8
HEADLINE = ("jobs", "failed")
"""Figures of the jobs that the headline tells."""


def report_markdown(report: OperationsReport) -> str:
    """All of it."""
    lines = [f"# Operations: {report.period.title}", "", *_about(report), ""]
    lines += [f"**{headline(report)}**", ""]
    if report.summary:
        lines += [*_summary(report), ""]
    lines += [*_gaps(report.gaps)]
    for part in report.parts:
        lines += _part(part)
    return "\n".join(lines).rstrip() + "\n"


def headline(report: OperationsReport) -> str:
    """One line: jobs, cost, incidents, and whether somebody is needed."""
    if report.is_empty:
        told = ["nothing happened" if not report.gaps else "nothing is known to have happened"]
    else:
        told = [_counted(report, "jobs", "jobs", "job"), _counted(report, "jobs", "failed", "failed")]
        cost = report.part("costs").figure("cost_usd")
        told += [number(cost, "usd")] if cost is not None else []
        told += [_counted(report, "incidents", "opened", "incident", "incidents")]
    waiting = report.part("people").figure("waiting")
    if waiting:
        told.append(f"{waiting:.0f} {'thing needs' if waiting == 1 else 'things need'} a person")
    if report.gaps:
        told.append(f"{len(report.gaps)} {'source' if len(report.gaps) == 1 else 'sources'} could not be read")
    return ", ".join(one for one in told if one)


def message(report: OperationsReport) -> tuple[str, str]:
    """Subject and text of a message of bounded length."""
    subject = f"C500 {report.period.name}: {headline(report)}"
    lines = [f"Operations: {report.period.title}", "", f"{headline(report)[:1].upper()}{headline(report)[1:]}.", ""]
    if report.summary:
        lines += [plain(report.summary), ""]
    news = report.news[:MOST_NEWS]
    lines += ["Changed by more than chance does:"] if news else []
    lines += [f"- {_titled(report, one)}: {_value(one)}, {changed(one)}" for one in news]
    lines += [""] if news else []
    people = report.part("people")
    for table in people.tables:
        lines += ["Needs a person:"]
        lines += [f"- {row[0]}: {row[1]}" + (f" ({row[3]})" if row[3] else "") for row in table.rows]
    lines += [f"Could not be read: {gap.source}" for gap in report.gaps]
    place = f"All of it: {report.place}/report.html" if report.place else ""
    return _bounded(subject, SUBJECT_CHARS), _bounded_lines(lines, place)


def _bounded_lines(lines: Sequence[str], last: str) -> str:
    """As many lines as fit, and the last one in any case."""
    room = MESSAGE_CHARS - len(last) - 30
    kept = list[str]()
    for place, line in enumerate(lines):
        line = _bounded(line, 300)
        if sum(len(one) + 1 for one in kept) + len(line) > room:
            kept.append(f"… and {len(lines) - place} lines more")
            break
        kept.append(line)
    return "\n".join([*kept, "", last]).strip()


def _bounded(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _titled(report: OperationsReport, figure: Figure) -> str:
    part = next(one for one in report.parts if figure in one.figures)
    return f"{part.title}, {figure.label}"


def _counted(report: OperationsReport, part: str, name: str, one: str, several: str = "") -> str:
    value = report.part(part).figure(name)
    if value is None:
        return ""
    words = one if value == 1 or one == "failed" else several or f"{one}s"
    return f"{value:,.0f} {words}"


def _about(report: OperationsReport) -> Iterator[str]:
    period = report.period
    yield (
        f"{_utc(period.since)} to {_utc(period.until)} UTC (days of {period.zone}), compared with "
        f"{_utc(period.before_since)} to {_utc(period.before_until)}. Made {_utc(report.made_at)}. "
        "A change in bold is more than chance does."
    )


def _utc(moment: object) -> str:
    return f"{moment:%Y-%m-%d %H:%M}"


def _summary(report: OperationsReport) -> Iterator[str]:
    said = inert(" ".join(plain(line) for line in report.summary.splitlines()))
    yield said if report.written_by == "rules" else f"{said} (Written by {code(plain(report.written_by))}.)"


def _gaps(gaps: Sequence[Gap]) -> Iterator[str]:
    if not gaps:
        return
    yield from ("## Could not be read", "")
    for gap in gaps:
        yield f"- {code(plain(gap.source))}: {code(plain(gap.why))}. Fix: {code(plain(gap.fix))}."
    yield ""


def _part(part: Part) -> Iterator[str]:
    yield from (f"## {part.title}", "")
    for gap in part.gaps:
        yield from (f"Missing: {code(plain(gap.source))}.", "")
    for note in part.notes:
        yield from (inert(plain(note)), "")
    if part.told:
        yield from ("| | | before | change |", "|---|---:|---:|---:|")
        for one in part.told:
            told = changed(one)
            mark = f"**{told}**" if one.is_news else told
            before = "" if one.before is None else number(one.before, one.unit)
            yield f"| {one.label} | {_value(one)} | {before} | {mark} |"
        yield ""
    if part.nothing:
        yield from (part.nothing, "")
    for table in part.tables:
        yield from _table(table)
    if not (part.figures or part.tables or part.notes or part.gaps):
        yield from ("Nothing in either period.", "")


def _table(table: Table) -> Iterator[str]:
    yield from (f"### {inert(plain(table.title))}", "")
    yield f"| {' | '.join(table.head)} |"
    yield "|" + "".join("---|" if unit == "text" else "---:|" for unit in table.units)
    for row in table.rows:
        yield f"| {' | '.join(_cell(one, unit) for one, unit in zip(row, table.units, strict=True))} |"
    if table.more:
        yield from ("", f"and {table.more:,} more")
    yield ""


def _cell(value: Cell, unit: Unit) -> str:
    """A cell: texts come from outside and are code, in which nothing is Markdown nor ends the cell."""
    if isinstance(value, str):
        return code(plain(value).replace("|", "¦")) if value else ""
    return number(value, unit)


def _value(figure: Figure) -> str:
    return number(figure.value, figure.unit)
