"""What came of maintenance, for people who have a minute."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from blocks.markdown import code
from blocks.model import Frozen
from blocks.plain_text import plain
from tasks.ops.worded import Worded, summary_lines

TaskStatus = Literal["ok", "changed", "attention", "planned", "skipped", "refused", "failed"]
"""`attention`: nothing failed, but a person should look, as at a certificate that expires soon."""

WORST_FIRST: tuple[TaskStatus, ...] = ("failed", "refused", "attention", "changed", "planned", "ok", "skipped")
SIGNS = {
    "failed": "✗ failed",
    "refused": "✗ refused",
    "attention": "! look at",
    "changed": "✓ changed",
    "planned": "· would",
    "ok": "✓ ok",
    "skipped": "– skipped",
}
MOST_DETAILS = 20


class TaskResult(Frozen):
    """What came of a task on a host.

    Attributes:
        task, host: Which, where.
        status: How it ended.
        summary: What was found or done, in a line.
        details: More lines.
    """

    task: str
    host: str
    status: TaskStatus
    summary: str
    details: tuple[str, ...] = ()

    @property
    def is_well(self) -> bool:
        """Whether what comes after may go on."""
        return self.status not in ("failed", "refused", "skipped")


class MaintenanceReport(Worded):
    """What came of a run.

    Attributes:
        run_id: Of the run.
        plan: The file.
        dry_run: Whether nothing was changed.
        started_at, ended_at: When.
        results: By task, then host.
    """

    run_id: str
    plan: str
    dry_run: bool
    started_at: datetime
    ended_at: datetime
    results: tuple[TaskResult, ...]

    @property
    def worst(self) -> TaskStatus:
        """The status that a person should know."""
        found = {one.status for one in self.results}
        for status in WORST_FIRST:
            if status in found:
                return status
        return "ok"

    @property
    def ok(self) -> bool:
        """Whether nothing failed or was refused."""
        return self.worst not in ("failed", "refused")


def headline(report: MaintenanceReport) -> str:
    """One line: how many of which."""
    counted = [(status, sum(one.status == status for one in report.results)) for status in WORST_FIRST]
    told = ", ".join(f"{number} {status}" for status, number in counted if number)
    return f"{'Dry run of maintenance' if report.dry_run else 'Maintenance'}: {told or 'nothing to do'}"


def summary_text(report: MaintenanceReport) -> str:
    """The whole as Markdown: what needs a person first, what went well in a line each."""
    took = report.ended_at - report.started_at
    told = f"run `{report.run_id}`, {report.started_at:%Y-%m-%d %H:%M %Z}, {took.total_seconds():.0f} s"
    lines = [f"# {headline(report)}", "", *summary_lines(report), told, ""]
    ranked = sorted(report.results, key=lambda one: WORST_FIRST.index(one.status))
    bad = [one for one in ranked if one.status in ("failed", "refused", "attention")]
    for one in bad:
        lines += [
            f"## {SIGNS[one.status]}: {one.task} on {one.host}",
            "",
            _line(one.summary),
            *_quoted(one.details),
            "",
        ]
    if good := [one for one in ranked if one not in bad]:
        lines += ["## The rest", "", "| | task | host | |", "|---|---|---|---|"]
        lines += [f"| {SIGNS[one.status]} | {one.task} | {one.host} | {_cell(one.summary)} |" for one in good]
    return "\n".join(lines).rstrip() + "\n"


def _quoted(details: Sequence[str]) -> list[str]:
    shown = [f"    {plain(line)}" for line in details[:MOST_DETAILS]]
    more = [f"    … {len(details) - MOST_DETAILS} more lines"] if len(details) > MOST_DETAILS else []
    return ["", *shown, *more] if shown else []


def _cell(text: str) -> str:
    return code(plain(text)).replace("|", "\\|")


def _line(text: str) -> str:
    return code(plain(text))
