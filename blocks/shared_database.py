"""An SQLite file that all processes of a machine write a little into: counts, states; nothing that must outlive it."""

import fcntl
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from blocks.errors import StoreFailed

BUSY_S = 2.0
"""How long a foreign reader, say the `sqlite3` shell, may keep us from writing."""


def use_write_ahead_log(
    database: sqlite3.Connection, within_s: float, pause: Callable[[float], None] = time.sleep
) -> None:
    """Have readers and a writer at once, also where several processes open a new file in the same moment.

    SQLite does not wait for its own timeout where another has the write lock while the log is switched.

    Args:
        database: The connection.
        within_s: For how long to try.
        pause: Waits so many seconds.

    Raises:
        sqlite3.OperationalError: the file stays locked, or cannot be used.
    """
    deadline = time.monotonic() + within_s
    while True:
        try:
            database.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            pause(0.02)
        else:
            return


class _Opened:
    """The file as one process has it."""

    def __init__(self, path: Path, schema: str) -> None:
        self.pid = os.getpid()
        self.lock = threading.Lock()
        # Who writes holds a lock on the file beside it: waiting for that is a queue in the kernel, whereas SQLite has
        # writers try again after pauses in which others overtake.
        self.turn = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            self.database = sqlite3.connect(path, isolation_level=None, timeout=BUSY_S, check_same_thread=False)
        except sqlite3.Error:
            os.close(self.turn)
            raise
        try:
            with self.my_turn():
                # Without a sync for each write: a crash of the machine may lose the last seconds, not the file.
                self.database.executescript(f"PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; {schema}")
        except BaseException:
            self.close()
            raise

    @contextmanager
    def my_turn(self) -> Generator[None]:
        with self.lock:
            fcntl.flock(self.turn, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.flock(self.turn, fcntl.LOCK_UN)

    def close(self) -> None:
        self.database.close()
        os.close(self.turn)


class SharedDatabase:
    """The file; for any thread and process. A fork opens it anew.

    Args:
        path: Of the file; its folder is made when missing, for this user only.
        schema: SQL that makes its tables when they are missing.
    """

    def __init__(self, path: Path, schema: str) -> None:
        self._path, self._schema = path.expanduser(), schema
        self._opened: _Opened | None = None
        self._opening = threading.Lock()
        self._inherited: list[_Opened] = []

    @contextmanager
    def change(self) -> Generator[sqlite3.Connection]:
        """A transaction: what is done within happens whole or not at all.

        Raises:
            StoreFailed: the file cannot be read or written.
        """
        try:
            opened = self._open()
            with opened.my_turn():
                opened.database.execute("BEGIN IMMEDIATE")
                try:
                    yield opened.database
                    opened.database.execute("COMMIT")
                except BaseException:
                    if opened.database.in_transaction:
                        opened.database.execute("ROLLBACK")
                    raise
        except (sqlite3.Error, OSError) as error:
            raise StoreFailed(
                f"{self._path} cannot be used: {error}",
                fix="make room and give this user the file; when it is damaged, move it away: it is made anew",
            ) from error

    def close(self) -> None:
        """Let go of the file."""
        if self._opened is not None and self._opened.pid == os.getpid():
            self._opened.close()
        self._opened = None

    def _open(self) -> _Opened:
        if self._opened is not None and self._opened.pid != os.getpid():
            # Kept, unused: to close what the parent opened would end its locks, and its lock may be held for ever.
            self._inherited.append(self._opened)
            self._opened, self._opening = None, threading.Lock()
        with self._opening:
            if self._opened is None:
                self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._opened = _Opened(self._path, self._schema)
            return self._opened
