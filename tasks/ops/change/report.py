"""A review as people read it. What a change or a tool says is shown as code: nothing in it is Markdown."""

from blocks.markdown import code
from blocks.plain_text import cut, plain
from tasks.ops.change.result import SEVERITIES, Finding, ReviewReport

SHOWN_CHARS, SHOWN_FINDINGS = 300, 200


def review_markdown(report: ReviewReport) -> str:
    """The report."""
    counts = {level: sum(one.severity == level for one in report.findings) for level in SEVERITIES}
    told = ", ".join(f"{count} {level}" for level, count in counts.items() if count) or "no findings"
    verdict = "fails" if report.failed else "passes"
    lines = [
        f"# Review of {shown(report.subject)}",
        "",
        f"{report.files} files, +{report.added} -{report.removed}: {told}. It {verdict} at {report.fail_on}.",
        "",
    ]
    for level in SEVERITIES:
        found = [one for one in report.findings if one.severity == level]
        lines += [f"## {level}", "", *(_line(one) for one in found[:SHOWN_FINDINGS]), ""] if found else []
    if report.left_out:
        lines += [f"{report.left_out} more were left out.", ""]
    lines += [
        "## Tools",
        "",
        *(f"- {one.tool}: {one.status}{_more(one.why)}, {one.files} files" for one in report.tools),
    ]
    return "\n".join(lines)


def shown(text: str) -> str:
    """A text from outside within a line."""
    return code(cut(plain(text), SHOWN_CHARS))


def _line(finding: Finding) -> str:
    place = finding.file if finding.line is None else f"{finding.file}:{finding.line}"
    fix = f"; {shown(finding.suggestion)}" if finding.suggestion else ""
    by = f" (says {shown(finding.source)})" if finding.is_models else ""
    return f"- {shown(place)} {shown(finding.rule)}: {shown(finding.message)}{fix}{by}"


def _more(why: str) -> str:
    return f" ({shown(why)})" if why else ""
