"""The database file of the memory, that processes share."""

import fcntl
import os
import sqlite3
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from blocks.errors import StoreFailed
from blocks.memory.schema import FORM, SCHEMA
from blocks.shared_database import use_write_ahead_log

BUSY_S = 30.0
"""How long another process may keep us from writing."""

CLEAR_S = 5.0
"""How long an erasure waits for processes that read, so that the log can be emptied."""


class MemoryFile:
    """One connection, used by one thread at a time; opened when it is first needed.

    Args:
        path: Of the file; it and its folder are made when missing, for the owner alone.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._database: sqlite3.Connection | None = None

    @contextmanager
    def read(self) -> Generator[sqlite3.Connection]:
        """A view of the database at one moment. Raises `StoreFailed`."""
        with self._transaction("BEGIN") as database:
            yield database

    @contextmanager
    def change(self) -> Generator[sqlite3.Connection]:
        """A transaction: alone among writers, and all of it takes place or nothing. Raises `StoreFailed`."""
        with self._transaction("BEGIN IMMEDIATE") as database:
            yield database

    def scrub(self) -> bool:
        """Write the file anew without what was deleted, and empty its log.

        Returns:
            Whether traces are left in the log, since another process reads.

        Raises:
            StoreFailed: it cannot be written.
        """
        with self._lock, _told(self.path):
            database = self._open()
            database.execute("INSERT INTO memory_words (memory_words) VALUES ('optimize')")
            database.execute("VACUUM")
            database.execute(f"PRAGMA busy_timeout = {int(CLEAR_S * 1000)}")
            busy = database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
            database.execute(f"PRAGMA busy_timeout = {int(BUSY_S * 1000)}")
            return bool(busy)

    def close(self) -> None:
        """Let go of the file; it is opened again when needed."""
        with self._lock:
            if self._database is not None:
                self._database.close()
                self._database = None

    @contextmanager
    def _transaction(self, begin: str) -> Generator[sqlite3.Connection]:
        with self._lock, _told(self.path):
            database = self._open()
            database.execute(begin)
            try:
                yield database
                database.execute("COMMIT")
            except BaseException:
                if database.in_transaction:
                    database.execute("ROLLBACK")
                raise

    def _open(self) -> sqlite3.Connection:
        if self._database is None:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with _alone(self.path):
                self._database = _connected(self.path)
        return self._database


@contextmanager
def _alone(path: Path) -> Generator[None]:
    """Hold a lock beside the file: SQLite does not wait when two processes make it a WAL file at once, but fails."""
    lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _connected(path: Path) -> sqlite3.Connection:
    with suppress(FileExistsError):
        # Only a new file is opened by ourselves: closing another one would end the locks that SQLite holds on it.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    database = sqlite3.connect(path, isolation_level=None, timeout=BUSY_S, check_same_thread=False)
    try:
        _prepare(database, path)
    except BaseException:
        database.close()
        raise
    return database


def _prepare(database: sqlite3.Connection, path: Path) -> None:
    database.row_factory = sqlite3.Row
    use_write_ahead_log(database, BUSY_S)
    # A killed process loses nothing; a power cut may cost the last memories, never the file.
    database.execute("PRAGMA synchronous=NORMAL")
    database.execute("PRAGMA foreign_keys=ON")
    database.execute("PRAGMA secure_delete=ON")  # what is deleted is overwritten, not only no longer pointed to
    form = database.execute("PRAGMA user_version").fetchone()[0]
    if form > FORM:
        raise StoreFailed(f"{path} was written by a newer version", fix="update C500, or name another AGENTS_HOME")
    if form < FORM:
        database.execute("BEGIN IMMEDIATE")  # two processes that start together make the tables once
        for statement in SCHEMA.split(";\n"):
            database.execute(statement)
        database.execute(f"PRAGMA user_version = {FORM}")
        database.execute("COMMIT")


@contextmanager
def _told(path: Path) -> Generator[None]:
    """Errors of the database as ours."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise StoreFailed(
            f"the memory {path} cannot be used: {error}",
            fix="see whether its disk is full, its folder may be written, or a stopped process holds it",
        ) from error
