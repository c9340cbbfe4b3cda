"""The books of all limits in an SQLite file that the processes of a machine share."""

import fcntl
import os
import sqlite3
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from pydantic_core import from_json, to_json

from blocks.limits.limit import Limit
from blocks.limits.protocol import LEASE_S
from blocks.limits.window import Window, shut

BUSY_S = 10.0
"""How long a foreign reader, say the `sqlite3` shell, may keep us from writing."""

PRUNE_EVERY = 5_000
"""Transactions between two looks for windows that nobody needs any more, as those of sessions that ended."""

CACHED = 10_000
"""Windows kept in memory between transactions."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS boot (id TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS windows (
    key TEXT PRIMARY KEY,
    kind TEXT NOT NULL,      -- of the limit; '' when only a block is known of it
    window_s REAL NOT NULL,
    written REAL NOT NULL,   -- when, by the clock of this boot
    lasts REAL NOT NULL,     -- from then on the row is as good as none
    books BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS windows_lasts ON windows (lasts);
"""
SELECT = "SELECT books FROM windows WHERE key = ?"
WRITE = """
INSERT INTO windows VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET
    kind = iif(excluded.kind = '', kind, excluded.kind), window_s = max(window_s, excluded.window_s),
    written = excluded.written, lasts = excluded.lasts, books = excluded.books
"""


class Books(dict[str, Window]):
    """The windows of a transaction, read when they are needed."""

    def __init__(self, database: sqlite3.Connection) -> None:
        super().__init__()
        self._database = database
        self._limits: dict[str, Limit | None] = {}

    def touch(self, key: str, limit: Limit | None) -> None:
        """Say that a window may be changed."""
        self._limits[key] = limit or self._limits.get(key)

    def write(self, now: float) -> None:
        """Write what changed."""
        for key, limit in self._limits.items():
            if (window := self.get(key)) is not None and window.changes:
                kind, window_s = (limit.kind, limit.window_s) if limit else ("", 0.0)
                self._database.execute(WRITE, (key, kind, window_s, now, window.lasts, _pack(window)))
                window.changes = 0
        self._limits.clear()

    def forget(self) -> None:
        """Read everything anew."""
        self.clear()
        self._limits.clear()

    def __missing__(self, key: str) -> Window:
        row = self._database.execute(SELECT, (key,)).fetchone()
        self[key] = _unpack(row[0]) if row else Window()
        return self[key]


class BooksFile:
    """The file; to be used by one thread.

    Who writes holds a lock on the file beside it. Waiting for that is a queue in the kernel, whereas SQLite makes
    writers try again after pauses of up to 0.1 s, in which others overtake.

    Args:
        path: Of the file; made when it is not there.
        clock: Seconds that never go back, the same for all processes of a boot.
        boot: Names this boot of the machine.

    Raises:
        sqlite3.Error: it cannot be read or written, or is no such file.
        OSError: the folder is not there or may not be written.
    """

    def __init__(self, path: Path, clock: Callable[[], float], boot: str) -> None:
        self._clock = clock
        self._lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            self._database = sqlite3.connect(path, isolation_level=None, timeout=BUSY_S, check_same_thread=False)
        except sqlite3.Error:
            os.close(self._lock)
            raise
        self._books = Books(self._database)
        self._version = self._transactions = 0
        try:
            self._open(boot)
        except BaseException:
            self.close()
            raise

    @contextmanager
    def change(self) -> Generator[Books]:
        """A transaction: alone with the books, and all of it takes place or nothing."""
        with self._alone():
            self._database.execute("BEGIN IMMEDIATE")
            try:
                version = self._database.execute("PRAGMA data_version").fetchone()[0]
                if version != self._version or len(self._books) > CACHED:  # another process has written
                    self._books.forget()
                    self._version = version
                yield self._books
                now = self._clock()
                self._books.write(now)
                self._transactions += 1
                if self._transactions % PRUNE_EVERY == 0:
                    self._prune(now)
                self._database.execute("COMMIT")
            except BaseException:
                self._books.forget()
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()
        os.close(self._lock)

    def _open(self, boot: str) -> None:
        with self._alone():
            self._database.execute("PRAGMA journal_mode=WAL")
            # A killed process loses nothing. With NORMAL a power cut may lose the last transactions, never the file;
            # rate windows are closed after a reboot anyway. FULL would cost a disk flush for each call.
            self._database.execute("PRAGMA synchronous=NORMAL")
            self._database.executescript(SCHEMA)
        with self.change():
            known = self._database.execute("SELECT id FROM boot").fetchone()
            if known is None:
                self._database.execute("INSERT INTO boot VALUES (?)", (boot,))
            elif known[0] != boot:
                self._after_reboot(self._clock())
                self._database.execute("UPDATE boot SET id = ?", (boot,))
            self._prune(self._clock())

    def _after_reboot(self, now: float) -> None:
        """The clock began anew: nobody knows how long ago anything was."""
        rows = self._database.execute("SELECT key, kind, window_s, written, books FROM windows").fetchall()
        for key, kind, window_s, written, books in rows:
            window = after_reboot(_unpack(books), kind, window_s, written, now)
            self._database.execute(WRITE, (key, kind, window_s, now, window.lasts, _pack(window)))

    def _prune(self, now: float) -> None:
        self._database.execute("DELETE FROM windows WHERE lasts <= ?", (now,))
        self._books.forget()

    @contextmanager
    def _alone(self) -> Generator[None]:
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._lock, fcntl.LOCK_UN)


def after_reboot(window: Window, kind: str, window_s: float, written: float, now: float) -> Window:
    """The books of a limit after the machine was started anew, rather too full than too empty.

    A `rate` window is shut for its whole length; what calls held has been used; concurrency stays held for a lease,
    until the servers notice that those calls are gone; a block lasts as long as it did when it was written.
    """
    shift_s = now - written
    window.lasts = max(window.lasts + shift_s, now + LEASE_S)
    window.due += shift_s
    if window.blocked_until:
        window.blocked_until += shift_s
    if kind == "rate":
        window.slots, window.held, window.settled, window.holding = {}, {}, 0, 0
        shut(window, now + window_s)
    elif kind == "calendar":
        window.settled, window.held, window.holding = window.settled + window.holding, {}, 0
    else:
        window.held = {name: (amount, now + LEASE_S) for name, (amount, _) in window.held.items()}
        window.due = now + LEASE_S
    return window


def _pack(window: Window) -> bytes:
    held = [(name, *held) for name, held in window.held.items()]
    fields = (list(window.slots.items()), window.settled, held, window.holding, window.period, window.learned)
    return to_json((*fields, window.blocked_until, window.due, window.lasts), inf_nan_mode="constants")


def _unpack(packed: bytes) -> Window:
    slots, settled, held, *rest = from_json(packed)
    by_name = {name: (amount, until) for name, amount, until in held}
    return Window({slot: amount for slot, amount in slots}, settled, by_name, *rest)
