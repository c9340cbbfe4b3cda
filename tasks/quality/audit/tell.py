"""An audit in words, for artifacts, messages and terminals; and as events of Prefect."""

from uuid import NAMESPACE_URL, uuid5

from prefect.events import emit_event

from blocks.markdown import code, inert
from blocks.plain_text import plain
from tasks.quality.audit.audit import told_hash
from tasks.quality.audit.judged import AuditReport, Judged

FAILED = "c500.quality.failed"
"""Event that an expectation was not met; an automation may act on it."""

MOST_EVENTS = 50
"""Of one audit; a suite of a thousand expectations does not flood the server."""

MOST_LINES = 20
"""Expectations in a message, files and jobs on the terminal; the page has all of them."""


def emit_failures(report: AuditReport) -> int:
    """An event for each expectation that is not met, the critical first; how many there were.

    Telling the same twice is one event: its id follows from what it tells.
    """
    for one in report.bad[:MOST_EVENTS]:
        emit_event(
            event=FAILED,
            resource={
                "prefect.resource.id": f"c500.quality.{one.suite}.{one.id}",
                "prefect.resource.name": one.name,
                "c500.severity": one.severity,
            },
            payload={
                "period": report.period.name,
                "severity": one.severity,
                "message": one.line,
                "page": report.page,
                "samples": [sample.key for sample in one.samples],
            },
            id=uuid5(NAMESPACE_URL, f"{FAILED}:{report.period.name}:{one.name}:{told_hash(report)}"),
        )
    return min(len(report.bad), MOST_EVENTS)


def message_of(report: AuditReport) -> tuple[str, str]:
    """Subject and body of what operators are told."""
    lines = [f"- {one.severity}: {one.line}" for one in report.bad[:MOST_LINES]]
    if len(report.bad) > MOST_LINES:
        lines.append(f"- and {len(report.bad) - MOST_LINES} more")
    lines += ["", f"Page: {report.page}", f"Or: c500 quality show {report.period.name}"]
    return report.summary, "\n".join(lines)


def markdown(report: AuditReport) -> str:
    """The audit, as the Prefect UI and the terminal show it."""
    lines = [f"# Quality of {report.period.name}: {report.verdict}", "", f"{report.summary}.", ""]
    lines += [f"- {note}" for note in report.notes]
    if report.bad:
        lines += ["", "## Not met", "", "| expectation | severity | asks for | found |", "|---|---|---|---|"]
        lines += [_row(one) for one in report.bad]
    lines += _damaged(report)
    lines += ["", "## Suites", "", "| suite | rows | met | not met | not judged |", "|---|---|---|---|---|"]
    for suite in report.suites:
        bad = suite.count("failed") + suite.count("broken")
        counts = f"{suite.rows:,} | {suite.count('passed')} | {bad} | {suite.count('not_judged')}"
        lines.append(f"| {cell(suite.title)} | {counts} |")
    if report.page:
        lines += ["", f"The page: {code(report.page)}"]
    if report.posted:
        lines += [f"Operators: {report.posted}."]
    return "\n".join(lines)


def _damaged(report: AuditReport) -> list[str]:
    """Files that cannot be read and jobs that were lost: what the alerts of both send people here for."""
    lines: list[str] = []
    if report.unreadable:
        lines += ["", "## Files that cannot be read", "", "| file | why |", "|---|---|"]
        lines += [f"| {code(one.key)} | {cell(one.why)} |" for one in report.unreadable[:MOST_LINES]]
        lines += _more(report.period.unreadable)
    if report.lost:
        lines += ["", "## Jobs without a result", "", *(f"- {code(job)}" for job in report.lost[:MOST_LINES])]
        lines += _more(report.period.lost_jobs)
    return lines


def _more(number: int) -> list[str]:
    return ["", f"{number:,} in all: `c500 quality show --json` and the page have more."] if number > MOST_LINES else []


def _row(one: Judged) -> str:
    found = one.why if one.outcome == "broken" else one.observed
    samples = f"; as {', '.join(code(sample.key) for sample in one.samples[:3])}" if one.samples else ""
    return f"| {code(one.name)} | {one.severity} | {cell(one.about or one.says)} | {cell(found)}{samples} |"


def cell(text: str) -> str:
    """Text in a cell of a table."""
    return inert(plain(text)).replace("|", "\\|")
