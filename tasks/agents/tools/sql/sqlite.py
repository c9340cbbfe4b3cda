"""A query of an SQLite file that cannot change anything, whatever it says."""

import sqlite3
import time
from contextlib import closing
from pathlib import Path

from blocks.errors import BadInput, EngineFailed, EngineUnavailable, NotFound, TimedOut
from tasks.agents.tools.sql.rows import Table, filled

STEPS = 20_000
"""Steps of SQLite's machine between two looks at the clock: about a millisecond."""

LOCK_WAIT_S = 5.0
MOST_VALUE_BYTES = 1_000_000

READING = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE}
PRAGMAS = {"table_info", "table_xinfo", "table_list", "index_list", "index_info", "index_xinfo", "foreign_key_list"}
NOT_FUNCTIONS = {"load_extension", "readfile", "writefile", "edit", "fts3_tokenizer"}


def query_sqlite(path: Path, sql: str, most_rows: int, timeout_s: float) -> Table:
    """The rows of one statement. Blocks; ends by itself when time is up.

    Raises:
        NotFound: there is no such file.
        BadInput: the statement is wrong, more than one, or would change something.
        TimedOut: it took too long.
        EngineUnavailable: another process holds the database.
        EngineFailed: the file is damaged or no database.
    """
    if not path.is_file():
        raise NotFound(f"there is no file {path.name}", fix="ask the operator to correct the databases file")
    deadline = time.monotonic() + timeout_s
    try:
        with closing(
            sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=LOCK_WAIT_S, isolation_level=None)
        ) as connection:
            return _read(connection, sql, most_rows, deadline)
    except sqlite3.Error as error:
        raise _told(error, timeout_s) from error


def _read(connection: sqlite3.Connection, sql: str, most_rows: int, deadline: float) -> Table:
    connection.execute("PRAGMA query_only = ON")
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MOST_VALUE_BYTES)
    connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
    connection.set_authorizer(_only_reading)
    connection.set_progress_handler(lambda: int(time.monotonic() > deadline), STEPS)
    cursor = connection.execute(sql)
    return filled([column[0] for column in cursor.description or ()], cursor, most_rows)


def _only_reading(action: int, first: str | None, second: str | None, _database: str | None, _by: str | None) -> int:
    if action in READING:
        return sqlite3.SQLITE_OK
    if action == sqlite3.SQLITE_FUNCTION and (second or "").lower() not in NOT_FUNCTIONS:
        return sqlite3.SQLITE_OK
    if action == sqlite3.SQLITE_PRAGMA and (first or "").lower() in PRAGMAS:
        return sqlite3.SQLITE_OK
    return sqlite3.SQLITE_DENY


def _told(error: sqlite3.Error, timeout_s: float) -> BadInput | TimedOut | EngineUnavailable | EngineFailed:
    """What SQLite says, as ours."""
    message = str(error)
    if message == "interrupted":
        return TimedOut(f"the query took longer than {timeout_s:g} s", fix="ask for less: add WHERE or LIMIT")
    if "locked" in message or "busy" in message:
        return EngineUnavailable("another process holds the database", fix="try again a little later")
    name = getattr(error, "sqlite_errorname", "") or ""
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_CANTOPEN", "SQLITE_IOERR")):
        return EngineFailed(f"the database cannot be read: {message}", fix="ask the operator to look at it")
    if name == "SQLITE_AUTH" or "readonly" in message:
        return BadInput(f"the database can only be read: {message}", fix="give one SELECT statement", field="sql")
    if isinstance(error, sqlite3.ProgrammingError | sqlite3.Warning):
        return BadInput(f"{message}", fix="give one statement alone", field="sql")
    return BadInput(f"SQLite: {message}", fix="correct the statement; sqlite_schema lists the tables", field="sql")
