"""What is written down of a run of a runbook: its manifest, by which it goes on after a crash."""

from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from pydantic import Field

from blocks.manifests import Manifests
from blocks.model import Frozen
from blocks.store.files import Files

PREFIX = "operations/runbooks"

StepStatus = Literal["running", "done", "planned", "failed", "refused", "in_doubt"]
RunStatus = Literal["running", "done", "planned", "failed", "refused", "in_doubt", "timed_out"]
"""How a run stands. `failed`, `refused` and `timed_out` are ends; one `in_doubt` goes on once a person has looked."""

ENDED: tuple[RunStatus, ...] = ("done", "planned", "failed", "refused", "timed_out")


class StepRecord(Frozen):
    """What came of a step.

    Attributes:
        kind: Of the step.
        says: What it does, for people.
        read_only: Whether it only looks.
        status: How it stands.
        why: Why it did not go well.
        values: Variables that it set.
        taken: Of a conditional: whether its condition held.
        tries: How often it was begun.
        exit_code, said: Of a command: its code, and the end of what it wrote.
        approvers: Who agreed, where anybody was asked.
        began_at, ended_at: When.
    """

    kind: str
    says: str
    read_only: bool = False
    status: StepStatus = "running"
    why: str = ""
    values: dict[str, Any] = Field(default_factory=dict[str, Any])
    taken: bool | None = None
    tries: int = 1
    exit_code: int | None = None
    said: str = ""
    approvers: tuple[str, ...] = ()
    began_at: datetime = Field(default_factory=lambda: datetime.now(UTC))
    ended_at: datetime | None = None


class RunbookRun(Frozen):
    """A run of a runbook.

    Attributes:
        run_id: Names it.
        runbook: The runbook's name.
        path: Its file.
        fingerprint: Of the runbook and all that it calls; the run goes on with the same only.
        parameters: What it was told.
        status: How it stands.
        why: Why it did not end well, or what was left out of one that did.
        steps: What came of the steps, by their place: names joined by `/`.
        began_at, ended_at: When.
        timeout_s: Seconds in which all of it has to be done.
        dry_run: Whether it only says what would be done.
    """

    run_id: str
    runbook: str
    path: str
    fingerprint: str
    parameters: dict[str, Any]
    status: RunStatus = "running"
    why: str = ""
    steps: dict[str, StepRecord] = Field(default_factory=dict[str, StepRecord])
    began_at: datetime = Field(default_factory=lambda: datetime.now(UTC))
    ended_at: datetime | None = None
    timeout_s: float
    dry_run: bool = False

    @property
    def deadline(self) -> datetime:
        """When all of it has to be done."""
        return self.began_at + timedelta(seconds=self.timeout_s)

    @property
    def ok(self) -> bool:
        """Whether it did what it was to do."""
        return self.status in ("done", "planned")


def runbook_runs(files: Files) -> Manifests[RunbookRun]:
    """All runs of runbooks in a store."""
    return Manifests(files, PREFIX, RunbookRun, kind="run of a runbook")
