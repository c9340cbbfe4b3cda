"""Triage as people read it. What tests and logs say is shown as code: nothing in it is Markdown."""

from blocks.markdown import code, fenced
from blocks.plain_text import cut, plain
from tasks.ops.ci.result import Finding, TriageReport
from tasks.ops.worded import summary_lines

SHOWN_TESTS, SHOWN_CHARS = 10, 200


def triage_markdown(report: TriageReport) -> str:
    """The report."""
    title = f"# CI of {shown(report.project)}, build {shown(report.build)}"
    counts = f"{report.tests} tests: {report.failed} failed, {report.flaky} passed and failed, {report.skipped} skipped"
    facts = f"{counts}. Commit {shown(report.commit)}."
    lines = [title, "", *summary_lines(report), facts, ""]
    for finding in report.findings:
        lines += _finding(finding)
    if report.job:
        lines += ["## The job", ""]
        for judged in report.job[:3]:
            lines += [f"- {judged.cause} ({judged.confidence:.0%})", ""]
            lines += [f"  - {shown(one.source)} line {one.line}: {shown(one.text)}" for one in judged.evidence]
            lines.append("")
    return "\n".join(lines)


def shown(text: str) -> str:
    """A text from outside within a line."""
    return code(cut(plain(text), SHOWN_CHARS))


def _finding(finding: Finding) -> list[str]:
    judged, record = finding.judged, finding.record
    lines = [
        f"## {finding.verdict}: {judged.cause}, {finding.count} test{'s' if finding.count > 1 else ''}",
        "",
        f"- {finding.verdict} ({finding.verdict_confidence:.0%}): {shown(finding.why)}",
        f"- cause: {judged.cause} ({judged.confidence:.0%})"
        + "".join(f", or {one.cause} ({one.confidence:.0%})" for one in finding.others),
        f"- suggestion ({finding.suggestion.confidence:.0%}): {shown(finding.suggestion.text)}",
        f"- known from {record.builds} build{'' if record.builds == 1 else 's'}: flake rate {record.flake_rate:.0%}"
        + (f", failing since {shown(record.failing_since)}" if record.failing_since else "")
        + (f", last passed on {shown(record.last_passed)}" if record.last_passed else ""),
        "- tests: "
        + ", ".join(shown(test) for test in finding.tests[:SHOWN_TESTS])
        + (f" and {finding.count - SHOWN_TESTS} more" if finding.count > SHOWN_TESTS else ""),
    ]
    lines += [f"- {shown(one.source)} line {one.line}: {shown(one.text)}" for one in judged.evidence]
    if finding.frames:
        innermost = finding.frames[-1]
        lines.append(f"- innermost: {shown(f'{innermost.file}:{innermost.line} {innermost.name}'.strip())}")
    if finding.message:
        lines += ["", fenced("\n".join(plain(line) for line in finding.message.split("\n")))]
    return [*lines, ""]
