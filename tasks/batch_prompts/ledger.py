"""What has become of each row, in one SQLite file beside the output: a killed run goes on with what is missing."""

import json
import sqlite3
import threading
import time
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from blocks.errors import BadInput, Conflict, StoreFailed
from blocks.store.scratch import locked
from tasks.batch_prompts.engine import Cells
from tasks.batch_prompts.keys import Keys, Unit
from tasks.batch_prompts.plan import Plan
from tasks.batch_prompts.source import Item

FORM = "c500 batch prompts 1"

Status = Literal["partial", "answered", "review", "rejected"]
"""Of a row that was asked; one without an entry is new."""

TABLES = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS source (
    number INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, grp TEXT NOT NULL, known INTEGER NOT NULL,
    content TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS of_group ON source (grp, number);
CREATE TABLE IF NOT EXISTS rows (
    key TEXT PRIMARY KEY, status TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, cost_usd REAL NOT NULL DEFAULT 0,
    unpriced INTEGER NOT NULL DEFAULT 0, session TEXT, model TEXT, reason TEXT, review TEXT, changed_at REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS answers (
    key TEXT NOT NULL, place INTEGER NOT NULL, content TEXT NOT NULL, origin TEXT NOT NULL, PRIMARY KEY (key, place)
) WITHOUT ROWID;
"""

OPEN = "(rows.status IS NULL OR rows.status = 'partial')"
"""Rows that are to be asked."""


@dataclass(frozen=True, slots=True)
class Spent:
    """What a question took, shared among its rows.

    Attributes:
        cost_usd: None where it is not known.
        session: Of the agent.
        model: That answered.
    """

    cost_usd: float | None = None
    session: str | None = None
    model: str | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """A row that no prompt got answered.

    Attributes:
        item: The row.
        attempts: How often it was asked.
        reason: Why not.
        review: Id of what people were asked; None before.
    """

    item: Item
    attempts: int
    reason: str
    review: str | None


class Ledger:
    """The ledger of one plan; its methods block, and may be called from several threads, one at a time.

    Args:
        path: The file; made where absent.
        keys: Output rows of an input row.

    Raises:
        BadInput: the file is no ledger.
        StoreFailed: it cannot be used.
    """

    def __init__(self, path: Path, keys: Keys) -> None:
        self.path, self.keys = path, keys
        self._turn = threading.RLock()
        with _using(path):
            self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30)
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = FULL")  # answers are paid for
            self._database.executescript(TABLES)
            with self._change() as change:
                change.execute("INSERT OR IGNORE INTO facts VALUES ('form', ?)", (FORM,))
            [form] = self._database.execute("SELECT value FROM facts WHERE name = 'form'").fetchone()
        if form != FORM:
            self._database.close()
            raise BadInput(f"{path} is of another form: {form}", fix="name another output", field="output")

    def close(self) -> None:
        """Let go of the file."""
        with self._turn, _using(self.path):
            self._database.close()

    # The table

    def load(self, items: Iterable[Item], groups: Iterable[str]) -> None:
        """Take over the rows of the table as it is now, all or none; what was answered before stays."""
        known = set(groups)
        with self._change() as change:
            change.execute("DELETE FROM source")
            change.executemany(
                "INSERT INTO source VALUES (?, ?, ?, ?, ?)",
                ((one.number, one.key, one.group, one.group in known, _dumped(one.row)) for one in items),
            )

    def due(self, group: str, most: int | None = None) -> list[int]:
        """Numbers of the rows of a group that are to be asked.

        Args:
            group: The group.
            most: Only among the first so many rows of the group.
        """
        among = "SELECT number, key FROM source WHERE grp = ? ORDER BY number LIMIT ?"
        sql = f"SELECT number FROM ({among}) LEFT JOIN rows USING (key) WHERE {OPEN} ORDER BY number"  # noqa: S608
        return [number for (number,) in self._read(sql, (group, -1 if most is None else most))]

    def begun(self, group: str) -> set[int]:
        """Numbers of the rows of a group that were asked before."""
        return {
            number
            for (number,) in self._read("SELECT number FROM source JOIN rows USING (key) WHERE grp = ?", (group,))
        }

    def items(self, numbers: Sequence[int]) -> list[Item]:
        """Rows of the table."""
        return [self._item(*self._one(number)) for number in numbers]

    def every(self) -> Iterator[Item]:
        """All rows of the table that have a group, in order."""
        return self._rows(known=True)

    def dead(self) -> Iterator[Item]:
        """Rows of the table whose group is none of the plan's, in order."""
        return self._rows(known=False)

    def dead_rows(self) -> int:
        """How many these are."""
        [(rows,)] = self._read("SELECT count(*) FROM source WHERE NOT known")
        return rows

    def wanted(self, item: Item) -> tuple[Unit, ...]:
        """Output rows that a row still lacks."""
        there = {place for (place,) in self._read("SELECT place FROM answers WHERE key = ?", (item.key,))}
        return tuple(unit for at, unit in enumerate(self.keys.units) if at not in there)

    def asked(self, items: Iterable[Item]) -> int:
        """How often rows were asked, together."""
        return sum(
            attempts
            for item in items
            for (attempts,) in self._read("SELECT attempts FROM rows WHERE key = ?", (item.key,))
        )

    def answers(self, item: Item) -> list[tuple[Unit, Cells, str]]:
        """Output rows of a row, in the keys' order, each with its origin."""
        sql = "SELECT place, content, origin FROM answers WHERE key = ? ORDER BY place"
        return [(self.keys.units[at], json.loads(text), origin) for at, text, origin in self._read(sql, (item.key,))]

    # What becomes of rows

    def save(
        self, items: Sequence[Item], found: Mapping[int, Mapping[Unit, Cells]], spent: Spent, origin: str = "model"
    ) -> list[Item]:
        """Write down what a question brought, in one transaction; an answer that is there stays as it is.

        Returns:
            The rows that have all their output rows now.
        """
        share = None if spent.cost_usd is None else spent.cost_usd / max(1, len(items))
        done: list[Item] = []
        with self._change() as change:
            for item in items:
                change.executemany(
                    "INSERT OR IGNORE INTO answers VALUES (?, ?, ?, ?)",
                    [
                        (item.key, self.keys.place[unit], _dumped(cells), origin)
                        for unit, cells in found.get(item.number, {}).items()
                    ],
                )
                [there] = change.execute("SELECT count(*) FROM answers WHERE key = ?", (item.key,)).fetchone()
                is_done = there == len(self.keys.units)
                self._asked(change, item, "answered" if is_done else "partial", share, spent)
                done += [item] if is_done else []
        return done

    def give_up(self, item: Item, reason: str) -> None:
        """A row is for people to look at."""
        with self._change() as change:
            sql = (
                "INSERT INTO rows (key, status, reason, changed_at) VALUES (?, 'review', ?, ?) ON CONFLICT (key) DO"
                " UPDATE SET status = 'review', reason = excluded.reason, changed_at = excluded.changed_at"
            )
            change.execute(sql, (item.key, reason, time.time()))

    def failed(self) -> list[Failed]:
        """The rows of the table that people are to look at."""
        sql = (
            "SELECT number, key, grp, content, attempts, reason, review FROM source JOIN rows USING (key)"
            " WHERE known AND status = 'review' ORDER BY number"
        )
        return [
            Failed(self._item(number, key, group, content), attempts, reason or "", review)
            for number, key, group, content, attempts, reason, review in self._read(sql)
        ]

    def mark(self, item: Item, *, review: str | None, status: Status = "review", reason: str | None = None) -> None:
        """What people were asked about a row, or said about it."""
        with self._change() as change:
            change.execute(
                "UPDATE rows SET review = ?, status = ?, reason = coalesce(?, reason) WHERE key = ?",
                (review, status, reason, item.key),
            )

    def counts(self) -> list[tuple[str, str, int, int, float, int]]:
        """By group and status (`new` too): rows, attempts, dollars, rows without a known price."""
        sql = (
            "SELECT grp, coalesce(status, 'new'), count(*), coalesce(sum(attempts), 0), coalesce(sum(cost_usd), 0),"
            " coalesce(sum(unpriced), 0) FROM source LEFT JOIN rows USING (key) WHERE known GROUP BY 1, 2"
        )
        return self._read(sql)

    def _asked(self, change: sqlite3.Connection, item: Item, status: Status, share: float | None, spent: Spent) -> None:
        sql = (
            "INSERT INTO rows (key, status, attempts, cost_usd, unpriced, session, model, changed_at)"
            " VALUES (?, ?, 1, ?, ?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET status = excluded.status,"
            " attempts = attempts + 1, cost_usd = cost_usd + excluded.cost_usd,"
            " unpriced = max(unpriced, excluded.unpriced), session = coalesce(excluded.session, session),"
            " model = coalesce(excluded.model, model), changed_at = excluded.changed_at"
        )
        facts = (item.key, status, share or 0.0, share is None, spent.session, spent.model, time.time())
        change.execute(sql, facts)

    # Below

    def _rows(self, *, known: bool) -> Iterator[Item]:
        """A few at a time: a table with a wrong column for its groups may be all dead letters."""
        sql = "SELECT number, key, grp, content FROM source WHERE known = ? AND number > ? ORDER BY number LIMIT 500"
        last = 0
        while batch := self._read(sql, (known, last)):
            yield from (self._item(*one) for one in batch)
            last = batch[-1][0]

    def _one(self, number: int) -> Any:
        return self._read("SELECT number, key, grp, content FROM source WHERE number = ?", (number,))[0]

    def _item(self, number: int, key: str, group: str, content: str) -> Item:
        return Item(number, key, group, json.loads(content))

    def _read(self, sql: str, values: tuple[Any, ...] = ()) -> list[Any]:
        with self._turn, _using(self.path):
            return self._database.execute(sql, values).fetchall()

    @contextmanager
    def _change(self) -> Generator[sqlite3.Connection]:
        """All of a change, or nothing of it; on the disk at its end."""
        with self._turn, _using(self.path):
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield self._database
            except BaseException:
                self._database.execute("ROLLBACK")
                raise
            self._database.execute("COMMIT")


@contextmanager
def open_ledger(plan: Plan) -> Generator[Ledger]:
    """The ledger of a plan, for the one run that works with it.

    Raises:
        Conflict: another run does.
        BadInput, StoreFailed: the file is no ledger, or cannot be used.
    """
    path = plan.place(".ledger.db")
    with locked(plan.place(".lock"), wait=False) as alone:
        if not alone:
            raise Conflict(f"another run writes to {plan.stem}", fix="wait for it, or cancel it", field="output")
        ledger = Ledger(path, plan.per_row)
        try:
            yield ledger
        finally:
            ledger.close()


def _dumped(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


@contextmanager
def _using(path: Path) -> Generator[None]:
    try:
        yield
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):
            fix = "make room or correct the permissions, and run it again: what is done is kept"
            raise StoreFailed(f"{path} cannot be used: {error}", fix=fix) from error
        raise BadInput(f"{path} is no ledger: {error}", fix="name another output", field="output") from error
