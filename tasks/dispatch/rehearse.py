"""The plan of a request that is not carried out."""

from blocks.accounts.pool import Pool
from tasks.dispatch.means import Means, provided
from tasks.dispatch.prompts import Brief, plan_prompt
from tasks.dispatch.request import DispatchRequest
from tasks.dispatch.split import Planned, planned


async def plan_of(asked: DispatchRequest, pool: Pool) -> Planned:
    """What the coordinator plans, and what that took: nothing else is asked, and nothing is kept but the books.

    Args:
        asked: The request.
        pool: The accounts.

    Raises:
        As `plan_step`.
    """
    options = asked.options
    prompt = plan_prompt(Brief(request=asked.text.strip()), options.max_tasks, options.table, options.criteria)
    means = Means(pool, asked.dispatch_id, options, asked.dispatch_id)
    with provided(means):
        return await means.in_time(planned(options.coordinator.asked(prompt), options.max_tasks, options.table))
