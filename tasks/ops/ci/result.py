"""What triage of a CI build says."""

from typing import Literal

from blocks.model import Frozen
from tasks.ops.ci.causes import Judged
from tasks.ops.ci.history import Record
from tasks.ops.ci.mining import Frame
from tasks.ops.worded import Worded

Verdict = Literal["flaky", "real", "unsure"]


class Suggestion(Frozen):
    """What to do.

    Attributes:
        text: In words; may name things from outside.
        confidence: 0 to 0.95: the smaller of those of cause and verdict.
    """

    text: str
    confidence: float


class Finding(Frozen):
    """A cause, and the tests that failed for it.

    Attributes:
        fingerprint: The same for the same failure in other builds.
        tests: Which failed so; the first ones.
        count: How many.
        verdict: Flaky or real.
        verdict_confidence: How sure that is, 0 to 0.95.
        why: What the verdict rests on.
        judged: The cause.
        others: Causes that are less likely.
        message: What the first of them said.
        frames: Its stack, the innermost last.
        record: What is known of the first of them from earlier builds.
        suggestion: What to do.
    """

    fingerprint: str
    tests: tuple[str, ...]
    count: int
    verdict: Verdict
    verdict_confidence: float
    why: str
    judged: Judged
    others: tuple[Judged, ...] = ()
    message: str = ""
    frames: tuple[Frame, ...] = ()
    record: Record = Record()
    suggestion: Suggestion


class TriageReport(Worded):
    """What triage of a build says.

    Attributes:
        project: Which.
        build: The build's id.
        commit: What was built.
        run_id: Of the run that made this.
        tests: How many tests there were.
        failed: How many of them failed in all attempts.
        flaky: How many passed and failed.
        skipped: How many were skipped.
        findings: By cause, real ones first.
        job: What the logs say of the job, where no test failed.
        dry_run: Whether the history was left as it was.
    """

    project: str
    build: str
    commit: str
    run_id: str = ""
    tests: int = 0
    failed: int = 0
    flaky: int = 0
    skipped: int = 0
    findings: tuple[Finding, ...] = ()
    job: tuple[Judged, ...] = ()
    dry_run: bool = False

    @property
    def has_real(self) -> bool:
        """Whether something is broken, or may be."""
        return any(one.verdict != "flaky" for one in self.findings) or bool(self.job)
