"""What came of healing disks, for programs and for people."""

from collections.abc import Iterator
from typing import Literal

from blocks.markdown import code
from blocks.model import Frozen
from blocks.plain_text import cut, plain
from tasks.ops.cleanup.report import size
from tasks.ops.deed import Status
from tasks.ops.disk.findings import Findings
from tasks.ops.disk.usage import Usage
from tasks.ops.worded import Worded, summary_lines

DiskStatus = Literal["well", "healed", "planned", "insufficient", "exhausted", "no_gain", "unknown"]
"""`well`: it was not full; `insufficient`: a dry run in which all that applies makes too little room; `exhausted`: all
rules that apply were used, and it still is; `no_gain`: an action made no room, so that no other was tried; `unknown`:
it could not be measured, or another run is at it."""

WORDS = {
    "well": "not full",
    "healed": "has room again",
    "planned": "dry run",
    "insufficient": "dry run: it would STAY FULL",
    "exhausted": "STILL FULL, and no rule is left",
    "no_gain": "STILL FULL: an action made no room",
    "unknown": "UNKNOWN",
}


class Step(Frozen):
    """An action of the rules, and what came of it.

    Attributes:
        action: Its name.
        status: How it ended; `skipped`: it did not apply.
        why: Why it did not apply, was refused or failed.
        expected_bytes: What it should gain; None: nobody knows.
        gained_bytes: What the file system had more of free room afterwards, as statvfs says.
        gained_inodes: By how many files it had fewer.
        is_again: Whether an attempt that died in the middle of it had begun it, and may have had the gain.
        before, after: How full it was.
    """

    action: str
    status: Status | Literal["skipped"]
    why: str = ""
    expected_bytes: int | None = None
    gained_bytes: int = 0
    gained_inodes: int = 0
    is_again: bool = False
    before: Usage | None = None
    after: Usage | None = None


class DiskHealed(Frozen):
    """A file system of a host.

    Attributes:
        host: The host.
        mount: Where it is mounted; empty: it could not be found out.
        status: How it ended.
        why: More about it.
        before, after: How full it was, and is.
        findings: What took the room.
        steps: What was done, in order.
    """

    host: str
    mount: str
    status: DiskStatus
    why: str = ""
    before: Usage | None = None
    after: Usage | None = None
    findings: Findings | None = None
    steps: tuple[Step, ...] = ()

    @property
    def needs_a_person(self) -> bool:
        """Whether somebody must look."""
        return self.status in ("insufficient", "exhausted", "no_gain", "unknown")


class HealReport(Worded):
    """What came of a run.

    Attributes:
        run_id: Of the run.
        rules: The file.
        dry_run: Whether nothing was changed.
        disks: By host.
    """

    run_id: str
    rules: str
    dry_run: bool
    disks: tuple[DiskHealed, ...]

    @property
    def ok(self) -> bool:
        """Whether nobody must look."""
        return not any(one.needs_a_person for one in self.disks)


def headline(report: HealReport) -> str:
    """One line: what needs a person, or how many are well."""
    if bad := [one for one in report.disks if one.needs_a_person]:
        return f"{len(bad)} of {len(report.disks)} disks need a person: " + ", ".join(
            f"{one.host}:{plain(one.mount)}" if one.mount else one.host for one in bad[:5]
        )
    healed = [one for one in report.disks if one.status in ("healed", "planned")]
    return f"{len(report.disks)} disks: {len(healed)} {'would be ' * report.dry_run}healed, the others are not full"


def report_markdown(report: HealReport) -> str:
    """The whole as Markdown, what needs a person first."""
    told = f"run `{report.run_id}`, rules {code(report.rules)}"
    lines = [f"# {headline(report)}", "", *summary_lines(report), told, ""]
    for one in sorted(report.disks, key=lambda one: (not one.needs_a_person, one.status == "well")):
        lines += _disk_lines(one)
    return "\n".join(lines).rstrip() + "\n"


def _disk_lines(one: DiskHealed) -> Iterator[str]:
    yield f"## {one.host} {code(one.mount or '?')}: {WORDS[one.status]}"
    yield ""
    if one.why:
        yield plain(cut(one.why, 500))
    if one.before and one.after:
        yield f"{_full(one.before)} at first, {_full(one.after)} now"
    yield ""
    for step in one.steps:
        yield f"- {_step_line(step)}"
    if one.findings is not None and one.status != "well":
        yield ""
        yield from _finding_lines(one.findings)
    yield ""


def _step_line(step: Step) -> str:
    expected = "" if step.expected_bytes is None else f", {size(step.expected_bytes)} expected"
    why = f": {plain(cut(step.why, 300))}" if step.why else ""
    if step.status != "done":
        return f"{step.action} {step.status}{expected}{why}"
    full = "" if step.after is None else f", {step.after.fullest_percent:g} % now"
    inodes = f" and {step.gained_inodes} files" if step.gained_inodes else ""
    return f"{step.action} done: {size(step.gained_bytes)}{inodes} gained{expected}{full}{why}"


def _finding_lines(findings: Findings) -> Iterator[str]:
    yield "What takes the room:"
    yield ""
    for one in findings.found:
        least = "at least " if one.at_least else ""
        yield f"- {one.name}: {least}{size(one.size_bytes)} in {one.count}"
        for path, size_bytes in one.examples[:3]:
            yield f"  - {size(size_bytes)} {code(plain(path))}"
    for what, found in (("folder", findings.folders), ("file", findings.files)):
        for path, size_bytes in found:
            yield f"- {what} {code(plain(path))}: {size(size_bytes)}"
    for gap in findings.gaps:
        yield f"- not looked at: {code(plain(gap))}"


def _full(usage: Usage) -> str:
    what = f"{usage.used_percent:g} % full, {size(usage.free_bytes)} free"
    return f"{what}, {usage.inodes_percent:g} % of its inodes in use" if usage.lacks_inodes else what
