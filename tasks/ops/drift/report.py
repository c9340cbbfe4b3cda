"""What came of looking for drift, for programs and for people."""

from collections import Counter
from collections.abc import Iterator

from blocks.markdown import code, fenced
from blocks.plain_text import cut, plain
from tasks.ops.drift.found import Found, State
from tasks.ops.worded import Worded, summary_lines

WORST_FIRST: tuple[State, ...] = ("drifted", "missing", "unexpected", "unknown")
WORDS = {
    "drifted": "Drifted: not as declared",
    "missing": "Missing: declared, and not there",
    "unexpected": "Unexpected: there, and not declared",
    "unknown": "Unknown: it could not be looked at",
}


class DriftReport(Worded):
    """What came of a run.

    Attributes:
        run_id: Of the run.
        declared: The file.
        dry_run: Whether nothing was corrected.
        found: All that was looked at.
    """

    run_id: str
    declared: str
    dry_run: bool
    found: tuple[Found, ...]

    @property
    def left(self) -> tuple[Found, ...]:
        """What is not, or not known to be, as declared."""
        return tuple(one for one in self.found if one.is_left)

    @property
    def is_known(self) -> bool:
        """Whether all could be looked at."""
        return not any(one.state == "unknown" for one in self.found)

    @property
    def ok(self) -> bool:
        """Whether all is as declared, or was put right."""
        return not self.left


def headline(report: DriftReport) -> str:
    """One line: how many of which; «no drift» only where all could be looked at."""
    counts = Counter(one.state for one in report.left)
    corrected = sum(one.correction == "done" for one in report.found)
    parts = [f"{counts[state]} {state}" for state in WORST_FIRST if counts[state]]
    parts += [f"{corrected} corrected"] if corrected else []
    parts += [f"{sum(one.state == 'same' for one in report.found)} as declared"]
    return f"{'no drift' if report.ok else 'drift' if set(counts) - {'unknown'} else 'not known'}: {', '.join(parts)}"


def report_markdown(report: DriftReport) -> str:
    """The whole as Markdown, without what is as declared."""
    told = f"run `{report.run_id}`, {code(report.declared)}"
    lines = [f"# {headline(report)}", "", *summary_lines(report), told, ""]
    for state in WORST_FIRST:
        found = [one for one in report.found if one.state == state]
        lines += [f"## {WORDS[state]}", ""] if found else []
        for one in found:
            lines += _lines(one)
    if any(one.correction == "done" for one in report.found):
        lines += ["", f"Corrections are taken back by `c500 drift undo {report.run_id}`."]
    return "\n".join(lines).rstrip() + "\n"


def _lines(one: Found) -> Iterator[str]:
    why = f": {plain(cut(one.why, 300))}" if one.why else ""
    yield f"- {one.kind} {code(plain(one.name))} of {one.target} on {one.host}{why}"
    for what in one.differences:
        yield f"  - {code(what.field)} is {code(plain(what.actual))}, declared {code(plain(what.declared))}"
    if one.correction or one.corrected_why:
        told = "corrected" if one.correction == "done" else f"not corrected ({one.correction or 'left'})"
        yield f"  - {told}{': ' if one.corrected_why else ''}{plain(cut(one.corrected_why, 300))}"
    if one.diff:
        yield ""
        yield fenced(one.diff)
        yield ""
