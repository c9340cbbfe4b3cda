"""What the review of a change says."""

from typing import Literal

from blocks.model import Frozen

Severity = Literal["critical", "high", "medium", "low"]
SEVERITIES: tuple[Severity, ...] = ("critical", "high", "medium", "low")


def at_least(severity: Severity, least: Severity) -> bool:
    """Whether one is as bad as another, or worse."""
    return SEVERITIES.index(severity) <= SEVERITIES.index(least)


class Finding(Frozen):
    """Something about a change.

    Attributes:
        file: Where; as the change has it.
        line: In it, after the change, from 1; None: the file as a whole.
        severity: How bad.
        rule: Which rule, as `ruff:F401` or `swallowed-exception`.
        source: Who says so: a tool, `rules`, or `model NAME`.
        message: What is wrong; a thing from outside.
        suggestion: What to do.
    """

    file: str
    line: int | None = None
    severity: Severity
    rule: str
    source: str = "rules"
    message: str
    suggestion: str = ""

    @property
    def is_models(self) -> bool:
        """Whether a model says so."""
        return self.source.startswith("model")


class ToolRun(Frozen):
    """A static tool.

    Attributes:
        tool: Its name.
        status: `ran`; `absent`: it is not installed; `nothing`: no file is for it; `failed`.
        files: How many files it looked at.
        findings: How many of its findings lie on changed lines.
        why: Of a failed one; of an absent one how to get it.
    """

    tool: str
    status: Literal["ran", "absent", "nothing", "failed"]
    files: int = 0
    findings: int = 0
    why: str = ""


class ReviewReport(Frozen):
    """The review of a change.

    Attributes:
        subject: What was reviewed.
        run_id: Of the run.
        base, head: The commits, where there are any.
        files: How many files change.
        added, removed: How many lines.
        findings: Worst first.
        left_out: How many findings are not here because there were too many.
        tools: Which static tools ran.
        fail_on: The severity from which on the change fails.
        written_by: `rules`, or the model that added findings.
    """

    subject: str
    run_id: str = ""
    base: str = ""
    head: str = ""
    files: int = 0
    added: int = 0
    removed: int = 0
    findings: tuple[Finding, ...] = ()
    left_out: int = 0
    tools: tuple[ToolRun, ...] = ()
    fail_on: Severity = "high"
    written_by: str = "rules"

    @property
    def failed(self) -> bool:
        """Whether a finding is as bad as `fail_on`. What a model says does not count."""
        return any(at_least(one.severity, self.fail_on) for one in self.findings if not one.is_models)
