"""Output, coverage report and artifact of a batch, as the ledger has them now."""

from prefect import task
from prefect.cache_policies import NO_CACHE

from blocks.progress import in_thread
from tasks.batch_prompts.ledger import Ledger
from tasks.batch_prompts.output import replacing, write_output
from tasks.batch_prompts.plan import Plan
from tasks.batch_prompts.report import BatchPromptsReport, report_of
from tasks.batch_prompts.run import Tally
from tasks.batch_prompts.told import report_markdown


@task(name="write-output", cache_policy=NO_CACHE, persist_result=False)
async def write_output_step(plan: Plan, ledger: Ledger, tally: Tally) -> BatchPromptsReport:
    """Write CSV, XLSX and dead letters, and count what they hold.

    Raises:
        StoreFailed: a file cannot be written.
    """

    def write() -> BatchPromptsReport:
        write_output(plan, ledger)
        return report_of(plan, ledger, tally)

    return await in_thread(write)


def keep(plan: Plan, report: BatchPromptsReport) -> None:
    """Put the coverage report beside the output, for people and for programs. Raises `StoreFailed`. Blocks."""
    with replacing(plan.place(".coverage.json")) as fresh:
        fresh.write_text(report.model_dump_json(indent=2), encoding="utf-8")
    with replacing(plan.place(".coverage.md")) as fresh:
        fresh.write_text(report_markdown(report), encoding="utf-8")
