"""Changes reviewed: static tools first, then rules, then a model where there is one."""

from prefect import flow
from prefect.runtime import flow_run
from pydantic import ValidationError

from flows.names import plain
from flows.operating import keep_report, operating, show_markdown
from tasks.ops.change.request import Asked
from tasks.ops.change.result import ReviewReport
from tasks.ops.options import DEFAULTS, OperationsOptions

KEPT = "operations/changes"


def run_name() -> str:
    """The change."""
    try:
        return plain(Asked.model_validate(flow_run.parameters.get("change")).subject)
    except ValidationError:
        return "change"


@flow(name="review-change", flow_run_name=run_name, persist_result=False)
async def review_change(change: Asked, options: OperationsOptions = DEFAULTS) -> ReviewReport:
    """Review a change: findings with file, line and severity, missing tests and docs.

    Nothing of the repository is changed, and nothing of it runs outside of a sandbox.

    Args:
        change: Two commits of a repository, or a diff; docs/operations/ci.md says what is looked at.
        options: How the flow is run; a dry run keeps no report.

    Returns:
        The findings, worst first; also in the store under `operations/changes/`.

    Raises:
        BadInput, NotFound, TooLarge: repository, commits, diff or rules cannot be used.
        EngineFailed: git failed.
        Stopped: a switch stopped it.
    """
    from tasks.ops.change.carry_out import reviewed
    from tasks.ops.change.report import review_markdown

    async with operating("review-change", options, change.subject) as performer:
        report = await reviewed(performer, change)
        if not performer.dry_run:
            key = f"{KEPT}/{performer.run_id}.json"
            await keep_report(key, report)
        await show_markdown(f"review-{performer.run_id}", review_markdown(report), report.subject)
        return report
