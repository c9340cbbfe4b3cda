"""Builds that failed: why, whether it is flaky or real, and what to do."""

from pathlib import Path

from prefect import flow
from prefect.runtime import flow_run
from pydantic import ValidationError

from blocks.store import open_store
from flows.names import plain
from flows.operating import keep_report, operating, show_markdown
from tasks.ops.ci.build import Build
from tasks.ops.ci.result import TriageReport
from tasks.ops.options import DEFAULTS, OperationsOptions

KEPT = "operations/ci"


def run_name() -> str:
    """The project, and its build."""
    try:
        build = Build.model_validate(flow_run.parameters.get("build"))
    except ValidationError:
        return "build"
    names = [Path(name).name for name in (*build.junit, *build.logs)]
    return plain(f"{build.project} {build.build or ' '.join(names[:3])}")


@flow(name="triage-ci", flow_run_name=run_name, persist_result=False)
async def triage_ci(build: Build, options: OperationsOptions = DEFAULTS) -> TriageReport:
    """Look at the tests and logs of a build: causes with their evidence, flaky or real, what to do.

    Nothing is changed but what the store keeps: the report, and what each test came to, for later builds.

    Args:
        build: Its files, and what it is of; docs/operations/ci.md says how they are read.
        options: How the flow is run; a dry run keeps nothing.

    Returns:
        The findings; also in the store under `operations/ci/<project>/reports/`.

    Raises:
        BadInput, NotFound, TooLarge: a file cannot be used; `details["field"]` says which.
        StoreFailed: the history cannot be read or written.
        Stopped: a switch stopped it.
    """
    from tasks.ops.ci.carry_out import triaged
    from tasks.ops.ci.report import triage_markdown

    build.checked()
    async with operating("triage-ci", options, build.project) as performer:
        report = await triaged(performer, open_store(), build)
        if not performer.dry_run:
            key = f"{KEPT}/{report.project}/reports/{performer.run_id}.json"
            await keep_report(key, report)
        await show_markdown(f"ci-{performer.run_id}", triage_markdown(report), report.project)
        return report
