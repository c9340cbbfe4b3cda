"""The books: every call with its tokens and its price, kept in SQL for good.

Rows are written by a thread, many at a time, so that calls do not wait for them.
"""

import threading
import time
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Literal

import structlog

from blocks.errors import C500Error, StoreFailed

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

FLUSH_S = 0.5
"""How much of the books a killed process may lose, in seconds."""

BATCH = 2_000

LAST_TRIES_S = 10.0
"""How long, in seconds, a process that ends goes on trying to write what it has left."""

log = structlog.stdlib.get_logger("c500")

Outcome = Literal["ok", "cached", "transient", "quota", "exhausted", "auth", "context", "content", "bug", "cancelled"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One call at one account, or one answer from a cache.

    Attributes:
        at: When it ended, in seconds since 1970.
        account: Which account; empty for an answer from a cache.
        model: Its name in `accounts.yaml`.
        user: Who pays.
        session: Which conversation; empty for none.
        job: Which job; empty for none.
        outcome: `ok`, `cached`, `cancelled`, or the kind of failure.
        prompt_tokens: Sent.
        completion_tokens: Answered.
        cached_tokens: Of those sent, what the provider had cached.
        cost_units: In 10^-9 dollars; 0 when it failed before the model may have answered, or when the price is unknown.
        priced: Whether the price is known.
        is_estimate: Whether the tokens are estimated.
        latency_ms: From sending to the end of the answer.
    """

    at: float
    account: str
    model: str
    user: str
    session: str = ""
    job: str = ""
    outcome: Outcome
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    cost_units: int = 0
    priced: bool = True
    is_estimate: bool = False
    latency_ms: float = 0.0


COLUMNS = tuple(column.name for column in fields(Entry))
values_of = attrgetter(*COLUMNS)

SUMS = ("calls", "prompt_tokens", "completion_tokens", "cached_tokens", "cost_units", "latency_ms")
"""What is summed up by day, account, model, user and outcome."""


class Books:
    """The books of all processes that name the same database.

    Args:
        url: `sqlite:///path` or `postgresql://…`.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._rows: deque[Entry] = deque()
        self._asked: deque[threading.Event] = deque()
        self._wake = threading.Event()
        self._ending = False
        self._writer: threading.Thread | None = None
        self._failed: Exception | None = None
        self._opening = threading.Lock()
        self._engine: Engine | None = None

    def write(self, entry: Entry) -> None:
        """Enter a call; it is in the database within a second."""
        if self._writer is None:
            self._start()
        self._rows.append(entry)  # and nobody woken: at each call that would cost a switch of threads

    def flush(self, timeout_s: float = 30.0) -> None:
        """Wait until all that was entered is in the database.

        Raises:
            StoreFailed: it cannot be written.
        """
        if self._writer is None:
            return
        done = threading.Event()
        self._asked.append(done)
        self._wake.set()
        in_time = done.wait(timeout_s)
        if self._failed or not in_time:
            raise StoreFailed(
                f"the books cannot be written: {self._failed or 'the database does not answer'}",
                fix="look after the database of BOOKS_URL",
            )

    def close(self) -> None:
        """Write what is left and let go of the database."""
        if self._writer is not None:
            self._ending = True
            self._wake.set()
            self._writer.join(timeout=LAST_TRIES_S + 30)
            self._writer = None
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None

    def engine(self) -> "Engine":
        """The database, with the tables made."""
        with self._opening:
            if self._engine is None:
                from blocks.accounts.schema import open_engine  # SQLAlchemy: half a second that most imports save

                self._engine = open_engine(self._url)
            return self._engine

    def _start(self) -> None:
        with self._opening:
            if self._writer is None:
                self._ending = False
                self._writer = threading.Thread(target=self._write_all, name="books", daemon=True)
                self._writer.start()

    def _write_all(self) -> None:
        from sqlalchemy.exc import SQLAlchemyError

        last_try: float | None = None
        kept: list[Entry] = []
        while last_try is None or ((kept or self._rows) and time.monotonic() < last_try):
            self._wake.wait(FLUSH_S)
            self._wake.clear()
            if self._ending and last_try is None:
                last_try = time.monotonic() + LAST_TRIES_S
            asked = [self._asked.popleft() for _ in range(len(self._asked))]  # first: their rows are there by now
            try:
                while kept or self._rows:
                    kept += [self._rows.popleft() for _ in range(min(len(self._rows), BATCH - len(kept)))]
                    self._insert(kept)
                self._failed = None
            except (SQLAlchemyError, C500Error, OSError) as error:  # the rows stay and are tried again
                self._failed = error
            for event in asked:
                event.set()
        if lost := len(kept) + len(self._rows):
            log.error("books_lost", calls=lost, database=self._url.rsplit("@")[-1], error=str(self._failed))

    def _insert(self, entries: list[Entry]) -> None:
        """Write entries and take them off the list; those that the database will never take are logged."""
        from sqlalchemy.exc import DataError, IntegrityError

        refusals = (DataError, IntegrityError, ValueError, OverflowError)
        try:
            with self.engine().begin() as connection:
                insert(connection, entries)
            entries.clear()
        except refusals:
            while entries:  # one by one: tried again together, a single wrong one would keep all others out for ever
                try:
                    with self.engine().begin() as connection:
                        insert(connection, entries[:1])
                except refusals as error:
                    log.error("books_row_refused", entry=repr(entries[0]), error=str(getattr(error, "orig", error)))
                del entries[0]


def insert(connection: "Connection", entries: Sequence[Entry]) -> None:
    """Write entries and add them to the totals, in one transaction."""
    from blocks.accounts.schema import CALLS

    rows = [dict(zip(COLUMNS, values_of(entry), strict=True)) for entry in entries]
    connection.execute(CALLS.insert(), rows)
    totals: dict[tuple[str, ...], dict[str, float]] = defaultdict(lambda: dict.fromkeys(SUMS, 0))
    for row in rows:
        total = totals[(day_of(row["at"]), row["account"], row["model"], row["user"], row["outcome"])]
        total["calls"] += 1
        for name in SUMS[1:]:
            total[name] += row[name]
    # In one order, so that two processes do not wait for each other's rows.
    for key, total in sorted(totals.items()):
        _add(connection, dict(zip(("day", "account", "model", "user", "outcome"), key, strict=True)), total)


def _add(connection: "Connection", key: Mapping[str, Any], sums: Mapping[str, float]) -> None:
    from blocks.accounts.schema import TOTALS, upsert

    statement = upsert(connection, TOTALS).values(**key, **sums)
    added = {name: TOTALS.c[name] + statement.excluded[name] for name in SUMS}
    connection.execute(statement.on_conflict_do_update(index_elements=list(key), set_=added))


def day_of(at: float) -> str:
    """The day of a moment, UTC."""
    return time.strftime("%Y-%m-%d", time.gmtime(at))
