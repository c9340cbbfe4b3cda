"""Counters over the books of all processes: they only grow, and a reading costs what is new, not what there is."""

import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from blocks.accounts.books import SUMS, day_of

if TYPE_CHECKING:
    from sqlalchemy import Engine

BUCKETS_S = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
"""Upper bounds of the latencies that are counted together; one more bucket has the rest."""

LONGEST_WRITE_S = 60.0
"""PostgreSQL numbers rows before they can be seen: all up to a number are there so long after it was seen."""

Row = tuple[str, str, str]
"""Account, model, outcome."""

Route = tuple[str, str]
"""Account, model."""


@dataclass(frozen=True)
class Tallied:
    """What there was so far.

    Attributes:
        totals: Since the books began: the columns of `books.SUMS`, by account, model and outcome.
        latencies: Since the first reading: calls answered in each of `BUCKETS_S` and above, and the sum of their
            latencies in seconds, by account and model.
    """

    totals: Mapping[Row, Mapping[str, int]]
    latencies: Mapping[Route, tuple[Sequence[int], float]]


class Tally:
    """Reads the books again and again; of one thread at a time.

    Args:
        engine: Of the books.
    """

    def __init__(self, engine: "Engine") -> None:
        self._engine = engine
        self._closed: dict[Row, dict[str, int]] = {}
        self._closed_until = ""
        self._settled: dict[Route, tuple[list[int], float]] = {}
        self._settled_id: int | None = None
        self._seen: deque[tuple[float, int]] = deque()

    def read(self, now: float | None = None) -> Tallied:
        """What there is now.

        Args:
            now: Seconds since 1970; by default the present.
        """
        at = time.time() if now is None else now
        return Tallied(totals=self._totals(at), latencies=self._latencies(at))

    def _totals(self, at: float) -> dict[Row, dict[str, int]]:
        """Yesterday and today are read each time, the days before once."""
        yesterday = day_of(at - 86_400)
        if self._closed_until < yesterday:
            _add(self._closed, self._sums(self._closed_until, yesterday))
            self._closed_until = yesterday
        totals = {row: dict(what) for row, what in self._closed.items()}
        _add(totals, self._sums(self._closed_until, None))
        return totals

    def _sums(self, since: str, until: str | None) -> dict[Row, dict[str, int]]:
        from sqlalchemy import func, select, true

        from blocks.accounts.schema import TOTALS

        row = (TOTALS.c.account, TOTALS.c.model, TOTALS.c.outcome)
        statement = (
            select(*row, *(func.sum(TOTALS.c[name]) for name in SUMS))
            .where(TOTALS.c.day >= since, TOTALS.c.day < until if until else true())
            .group_by(*row)
        )
        with self._engine.connect() as connection:
            rows: list[Any] = [*connection.execute(statement)]
        return {(row[0], row[1], row[2]): dict(zip(SUMS, map(int, row[3:]), strict=True)) for row in rows}

    def _latencies(self, at: float) -> dict[Route, tuple[Sequence[int], float]]:
        """Those of rows whose neighbours may still be missing are counted anew each time."""
        from sqlalchemy import case, func, select

        from blocks.accounts.schema import CALLS

        with self._engine.connect() as connection:
            top: int = connection.execute(select(func.coalesce(func.max(CALLS.c.id), 0))).scalar_one()
            if self._settled_id is None:
                self._settled_id = top
            self._seen.append((at, top))
            settled = self._settled_id
            while self._seen and self._seen[0][0] <= at - LONGEST_WRITE_S:
                settled = self._seen.popleft()[1]
            bucket = case(
                *((CALLS.c.latency_ms <= 1000 * bound, number) for number, bound in enumerate(BUCKETS_S)),
                else_=len(BUCKETS_S),
            )
            group: Any = (CALLS.c.account, CALLS.c.model, bucket, CALLS.c.id <= settled)
            statement = (
                select(*group, func.count(), func.sum(CALLS.c.latency_ms))
                .where(CALLS.c.id > self._settled_id, CALLS.c.outcome == "ok")
                .group_by(*group)
            )
            rows: list[Any] = [*connection.execute(statement)]
        found = {route: (list(counts), seconds) for route, (counts, seconds) in self._settled.items()}
        for account, model, number, is_settled, calls, latency_ms in rows:
            for counted in (found, self._settled) if is_settled else (found,):
                counts, seconds = counted.get((account, model), ([0] * (len(BUCKETS_S) + 1), 0.0))
                counts[number] += calls
                counted[account, model] = (counts, seconds + latency_ms / 1000)
        self._settled_id = settled
        return dict(found)


def _add(totals: dict[Row, dict[str, int]], more: Mapping[Row, Mapping[str, int]]) -> None:
    for row, what in more.items():
        before = totals.get(row, {})
        totals[row] = {name: before.get(name, 0) + amount for name, amount in what.items()}
