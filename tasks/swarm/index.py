"""What is known of rows by their keys, in a file that nobody sees: flat in memory, gone with the process."""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass

from blocks.rows.read import read_rows
from blocks.rows.row import Row
from tasks.swarm.job import SwarmJob

CACHE_KB = 8_192


class Index:
    """Numbers by key. Several threads may use it, one at a time."""

    def __init__(self) -> None:
        # Without a name it is a file that SQLite has unlinked, and pages beyond the cache go there.
        self._database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        for pragma in (f"cache_size = -{CACHE_KB}", "journal_mode = OFF", "synchronous = OFF"):
            self._database.execute(f"PRAGMA {pragma}")
        self._database.execute("CREATE TABLE numbers (key TEXT PRIMARY KEY, number INTEGER) WITHOUT ROWID")

    def __getitem__(self, key: str) -> int | None:
        row = self._database.execute("SELECT number FROM numbers WHERE key = ?", (key,)).fetchone()
        return row and row[0]

    def __setitem__(self, key: str, number: int) -> None:
        self._database.execute("INSERT OR REPLACE INTO numbers VALUES (?, ?)", (key, number))

    def count_up(self, key: str) -> int:
        """How often this was called for the key before."""
        statement = "INSERT INTO numbers VALUES (?, 0) ON CONFLICT (key) DO UPDATE SET number = number + 1"
        return self._database.execute(f"{statement} RETURNING number", (key,)).fetchone()[0]

    def count_others(self, number: int) -> int:
        """How many keys have another number than this one."""
        return self._database.execute("SELECT count(*) FROM numbers WHERE number != ?", (number,)).fetchone()[0]

    def close(self) -> None:
        """Give the room back."""
        self._database.close()


@dataclass(frozen=True, slots=True)
class Item:
    """A row on its way.

    Attributes:
        number: Its place in the source, from 1.
        key: Hash of the row and what is asked of it, and which of several equal rows it is.
        row: Its values.
    """

    number: int
    key: str
    row: Row


def items(job: SwarmJob) -> Iterator[Item]:
    """All rows of a job, each with its key: the second of two equal rows has `-1` at its end."""
    seen = Index()
    try:
        for number, row in enumerate(read_rows(job.source), start=1):
            key = job.key_of(row)
            before = seen.count_up(key)
            yield Item(number, f"{key}-{before}" if before else key, row)
    finally:
        seen.close()
