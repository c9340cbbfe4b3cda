"""Triage with everything around it: files read, the build put into the history, the summary worded."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from blocks.progress import in_thread
from blocks.store import Files
from tasks.ops.ci.build import Build
from tasks.ops.ci.history import added, read_history, record_build
from tasks.ops.ci.junit import read_junit
from tasks.ops.ci.mining import mine_log
from tasks.ops.ci.report import triage_markdown
from tasks.ops.ci.result import TriageReport
from tasks.ops.ci.triage import triage
from tasks.ops.deed import Deed
from tasks.ops.performer import Performer
from tasks.ops.worded import worded

TASK = (
    "You sum up the triage of a CI build for an engineer, in two or three plain sentences: what failed, the likeliest "
    "cause, what to do first. Name nothing that the report does not name."
)


async def triaged(performer: Performer, files: Files, build: Build) -> TriageReport:
    """Triage a build, and add it to the history of its project.

    Raises:
        BadInput, NotFound, TooLarge: a file cannot be used.
        StoreFailed, Conflict: the history cannot be read or written.
        NotAllowed: a rule forbids keeping it.
    """
    tests = await in_thread(read_junit, [Path(name) for name in build.junit])
    logs = [await in_thread(mine_log, Path(name)) for name in build.logs]
    known_as, now = await in_thread(build.known_as), datetime.now(UTC)
    facts: dict[str, Any] = {"build": known_as, "commit": build.commit}

    async def record() -> int:
        return len((await in_thread(record_build, files, build.project, tests, at=now, **facts)).tests)

    deed = Deed(
        name=f"record/{build.project}/{known_as}",
        tool="record_build",
        arguments={"project": build.project, **facts},
        says=f"keep what the tests of build {known_as} came to",
        risk="low",
        reversible=True,
        repeatable=True,
    )
    if tests:
        (await performer.do(deed, record)).checked()
    history = added(await in_thread(read_history, files, build.project), tests, at=now, **facts)
    report = await in_thread(triage, tests, logs, history, project=build.project, **facts)
    update = {"run_id": performer.run_id, "dry_run": performer.dry_run}
    cleaned = performer.redactor.value(report.model_copy(update=update).model_dump(mode="json"))
    made = TriageReport.model_validate(cleaned)
    return await worded(performer, made, triage_markdown(made), TASK) if made.findings or made.job else made
