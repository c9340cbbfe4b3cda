"""Fixes as people read them. What tests and models say is shown as code: nothing in it is Markdown."""

from blocks.markdown import code, fenced
from blocks.plain_text import cut, plain
from tasks.ops.fixing.result import Fix, FixReport

SHOWN_CHARS, DIFF_CHARS = 300, 6000


def fixes_markdown(report: FixReport) -> str:
    """The report."""
    fixed = sum(one.status in ("fixed", "planned") for one in report.fixes)
    how = "would be put right" if report.dry_run else "put right, each on a branch of its own; nothing is merged"
    lines = [f"# Tests of {shown(report.repository)}", "", f"{fixed} of {len(report.fixes)} {how}.", ""]
    lines.append(f"Base {shown(report.base)}; tests ran in the sandbox {shown(report.sandbox or 'none')}.")
    for fix in report.fixes:
        lines += ["", *_fix(fix)]
    if report.left_out:
        lines += ["", f"{report.left_out} more were not tried."]
    return "\n".join(lines)


def shown(text: str) -> str:
    """A text from outside within a line."""
    return code(cut(plain(text), SHOWN_CHARS))


def _fix(fix: Fix) -> list[str]:
    lines = [f"## {fix.status.replace('_', ' ')}: {shown(fix.test)}", "", f"- file: {shown(fix.file)}"]
    for name, value in (("rule", fix.rule), ("why", fix.why), ("branch", fix.branch), ("commit", fix.commit)):
        lines += [f"- {name}: {shown(value)}"] if value else []
    if fix.runs:
        lines.append(f"- runs: {', '.join(str(count) for count in fix.runs)} tests passed")
    if fix.still_failing:
        lines.append("- failed before and still fail: " + ", ".join(shown(one) for one in fix.still_failing[:10]))
    if fix.with_tests:
        lines.append("- the same fix puts right: " + ", ".join(shown(one) for one in fix.with_tests[:10]))
    if fix.diff:
        text = cut(fix.diff, DIFF_CHARS)
        lines += ["", fenced("\n".join(plain(line) for line in text.split("\n")))]
    return lines
