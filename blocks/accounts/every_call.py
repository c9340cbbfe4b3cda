"""All calls there ever were, as one table: those with a row each, and the sums of those whose rows went by policy."""

from sqlalchemy import Integer, Subquery, literal_column, select, union_all

from blocks.accounts.schema import CALLS, SUMMED

NAMES = tuple(column.name for column in SUMMED.columns if column.name != "calls")


def every_call(*, estimated: bool = False) -> Subquery:
    """The columns of `schema.SUMMED`; of a call with its own row `calls` is 1.

    Args:
        estimated: Only calls whose cost is estimated.
    """
    own = select(*(CALLS.c[name] for name in NAMES), literal_column("1", Integer()).label("calls"))
    summed = select(*(SUMMED.c[name] for name in NAMES), SUMMED.c.calls)
    if estimated:
        own, summed = own.where(CALLS.c.is_estimate), summed.where(SUMMED.c.is_estimate)
    return union_all(own, summed).subquery("every_call")
