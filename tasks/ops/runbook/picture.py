"""A run of a runbook as people see it: a table of its steps, and how each stands."""

from collections.abc import Iterator
from datetime import datetime

from blocks.plain_text import cut, plain
from tasks.ops.runbook.checked import Ready
from tasks.ops.runbook.form import Conditional, Parallel, Step, SubRunbook
from tasks.ops.runbook.record import RunbookRun, StepRecord

MARKS = {
    "running": "▶ running",
    "done": "✓ done",
    "planned": "○ would be done",
    "failed": "✗ failed",
    "refused": "⊘ refused",
    "in_doubt": "? in doubt",
    "timed_out": "⧖ time is up",
}
NOT_REACHED = "·"
SHOWN_CHARS = 160


def picture(run: RunbookRun, ready: Ready) -> str:
    """The run as Markdown, in which nothing that came from outside is more than text."""
    took = f" · {_seconds(run.began_at, run.ended_at)}" if run.ended_at else ""
    lines = [
        f"### {run.runbook} · {MARKS[run.status]}{took}",
        "",
        f"Run {code(run.run_id)}" + (" · dry run, nothing was changed" if run.dry_run else ""),
        "",
    ]
    if run.why:
        lines += [f"**Why:** {code(run.why)}", ""]
    if run.parameters:
        told = ", ".join(f"{name} = {code(str(value))}" for name, value in run.parameters.items())
        lines += [f"Told: {told}", ""]
    lines += ["| step | how it stands | what it does | took |", "|---|---|---|---|"]
    lines += [*_rows(run, ready, ready.name, "", 0)]
    if run.status == "in_doubt":
        lines += ["", "Look what happened, then `c500 effects settle` or `release`, and go on with the same run."]
    return "\n".join(lines)


def code(text: str) -> str:
    """A text from anywhere as code in a table: nothing in it is Markdown."""
    shown = plain(cut(text, SHOWN_CHARS)).replace("`", "'").replace("|", "\\|")
    return f"`{shown}`" if shown.strip() else "` `"


def _rows(run: RunbookRun, ready: Ready, name: str, prefix: str, depth: int) -> Iterator[str]:
    book = ready.sources[name].runbook
    yield from _steps(run, ready, name, book.steps, prefix, depth)


def _steps(run: RunbookRun, ready: Ready, name: str, steps: tuple[Step, ...], prefix: str, depth: int) -> Iterator[str]:
    for step in steps:
        place = f"{prefix}{step.name}"
        record = run.steps.get(place)
        yield _row(step, record, depth)
        match step:
            case Conditional():
                for word, part in (("then", step.then), ("else", step.otherwise)):
                    if part:
                        yield f"| {_indent(depth + 1)}*{word}* | | | |"
                        yield from _steps(run, ready, name, part, prefix, depth + 2)
            case Parallel():
                for number, branch in enumerate(step.branches, 1):
                    yield f"| {_indent(depth + 1)}*branch {number}* | | | |"
                    yield from _steps(run, ready, name, branch, prefix, depth + 2)
            case SubRunbook():
                yield from _rows(run, ready, step.runbook, f"{place}/", depth + 1)
            case _:
                pass
        yield from _instead(run, ready, name, step, place, depth)


def _instead(run: RunbookRun, ready: Ready, name: str, step: Step, place: str, depth: int) -> Iterator[str]:
    """What was done because a step failed."""
    wanted = step.on_failure
    if wanted.goto is not None and any(one.startswith(f"{place}/goto/") for one in run.steps):
        yield f"| {_indent(depth + 1)}*{wanted.goto}* | | | |"
        steps = ready.sources[name].runbook.compensation[wanted.goto]
        yield from _steps(run, ready, name, steps, f"{place}/goto/", depth + 2)
    if wanted.runbook is not None and any(one.startswith(f"{place}/on-failure/") for one in run.steps):
        yield f"| {_indent(depth + 1)}*{wanted.runbook}* | | | |"
        yield from _rows(run, ready, wanted.runbook, f"{place}/on-failure/", depth + 2)


def _row(step: Step, record: StepRecord | None, depth: int) -> str:
    if record is None:
        return f"| {_indent(depth)}{step.name} | {NOT_REACHED} | {code(step.says or step.kind)} | |"
    held = "" if record.taken is None else " · it holds" if record.taken else " · it does not hold"
    why = f" {code(record.why)}" if record.why else ""
    agreed = f" · agreed: {code(', '.join(record.approvers))}" if record.approvers else ""
    tries = f" · try {record.tries}" if record.tries > 1 else ""
    took = _seconds(record.began_at, record.ended_at) if record.ended_at else ""
    stands = f"{MARKS[record.status]}{held}{tries}{agreed}{why}"
    return f"| {_indent(depth)}{step.name} | {stands} | {code(record.says)} | {took} |"


def _indent(depth: int) -> str:
    return "\u2003" * depth


def _seconds(began: datetime, ended: datetime) -> str:
    return f"{(ended - began).total_seconds():.1f} s"
