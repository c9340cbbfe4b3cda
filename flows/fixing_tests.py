"""Tests put right: test files only, one fix per branch, passed thrice, never merged."""

from pathlib import Path

from prefect import flow
from prefect.runtime import flow_run
from pydantic import ValidationError

from flows.names import plain
from flows.operating import keep_report, operating, show_markdown
from tasks.ops.fixing.request import FixAsked
from tasks.ops.fixing.result import FixReport
from tasks.ops.options import DEFAULTS, OperationsOptions

KEPT = "operations/fixes"


def run_name() -> str:
    """The repository, and the commit."""
    try:
        asked = FixAsked.model_validate(flow_run.parameters.get("asked"))
    except ValidationError:
        return "tests"
    return plain(f"{Path(asked.repository).name} {asked.base}")


@flow(name="fix-tests", flow_run_name=run_name, persist_result=False)
async def fix_tests(asked: FixAsked, options: OperationsOptions = DEFAULTS) -> FixReport:
    """Put failing tests right where a rule, or a model under guard, has a fix that is certain.

    The repository's folder stays as it is. A fix is a branch of one commit on top of the base; whether it is merged, a
    person decides. What it takes to be one stands in docs/operations/ci.md.

    Args:
        asked: Which tests, of which repository and commit.
        options: How the flow is run; a dry run finds and tries fixes, and makes no branch.

    Returns:
        What came of each test; also in the store under `operations/fixes/`.

    Raises:
        BadInput, NotFound: repository, commit, files or interpreter cannot be used.
        Unsupported: there is no sandbox here.
        EngineFailed: git failed.
        Stopped: a switch stopped it; the same `run_id` goes on.
    """
    from tasks.ops.fixing.carry_out import put_right
    from tasks.ops.fixing.report import fixes_markdown

    asked.checked()
    async with operating("fix-tests", options, asked.repository) as performer:
        report = await put_right(performer, asked)
        if not performer.dry_run:
            key = f"{KEPT}/{performer.run_id}.json"
            await keep_report(key, report)
        await show_markdown(f"fixes-{performer.run_id}", fixes_markdown(report), report.repository)
        return report
