"""How models answered of late, by the books."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from blocks.accounts.books import Books, day_of

DAYS = 7
ENOUGH = 10
"""Calls below which nothing can be said."""


@dataclass(frozen=True)
class Lately:
    """Means over the calls of the last days that succeeded.

    Attributes:
        latency_s: Of a call, in seconds.
        output_tokens: Of an answer.
    """

    latency_s: float
    output_tokens: float


def lately(books: Books, models: Sequence[str]) -> Lately | None:
    """What the books say of models; None when they know too little. Blocks.

    Raises:
        BadInput: BOOKS_URL names no database that we know.
    """
    from sqlalchemy import func, select

    from blocks.accounts.schema import TOTALS

    columns = TOTALS.c
    sums = (func.sum(columns.calls), func.sum(columns.latency_ms), func.sum(columns.completion_tokens))
    since = day_of(time.time() - DAYS * 86_400)
    wanted = select(*sums).where(columns.outcome == "ok", columns.model.in_(models), columns.day >= since)
    with books.engine().connect() as connection:
        calls, latency_ms, tokens = connection.execute(wanted).one()
    if not calls or calls < ENOUGH:
        return None
    return Lately(latency_s=float(latency_ms) / calls / 1000, output_tokens=float(tokens) / calls)
