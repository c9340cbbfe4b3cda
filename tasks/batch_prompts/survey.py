"""The whole table looked at before anything is spent: every row read, every prompt made, unknown groups set aside."""

from collections.abc import Iterator

from prefect import task
from prefect.cache_policies import NO_CACHE

from blocks.progress import in_thread
from tasks.batch_prompts.chunk import check_template
from tasks.batch_prompts.crossing import counted_in
from tasks.batch_prompts.ledger import Ledger
from tasks.batch_prompts.plan import Plan
from tasks.batch_prompts.source import Item, read_items


@task(name="survey", cache_policy=NO_CACHE, persist_result=False)
async def survey_step(plan: Plan, ledger: Ledger) -> None:
    """See `survey`."""
    await in_thread(survey, plan, ledger)


def survey(plan: Plan, ledger: Ledger) -> None:
    """Take the rows of the table into the ledger. Blocks.

    Raises:
        BadInput: a row cannot be read, or lacks a column that its template names; the ledger is left as it was.
        ContractBroken: reading it lost or doubled a row; the ledger is left as it was.
    """
    ledger.load(counted_in(_checked(plan)), plan.templates)


def _checked(plan: Plan) -> Iterator[Item]:
    for item in read_items(plan):
        if item.group in plan.templates:
            check_template(plan, item)
        yield item
