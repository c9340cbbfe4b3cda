"""A query of a PostgreSQL database that cannot change anything, whatever it says."""

import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from blocks.databases_file import Database
from blocks.errors import BadInput, C500Error, EngineFailed, EngineUnavailable, NotAllowed, TimedOut
from tasks.agents.tools.sql.rows import CELL_CHARS, Table, filled, first_word

CONNECT_S = 10
LOCK_WAIT_S = 3
ROW_CHARS = 20 * CELL_CHARS
"""Characters of a row that leave the server: a single value may have a gigabyte."""

WRAPPED = {"select", "with", "values", "table"}

MAY_TOO_MUCH = """
SELECT rolsuper OR pg_has_role(rolname, 'pg_execute_server_program', 'MEMBER')
    OR pg_has_role(rolname, 'pg_read_server_files', 'MEMBER') OR pg_has_role(rolname, 'pg_write_server_files', 'MEMBER')
FROM pg_roles WHERE rolname = session_user
"""
"""Such a role can start programs and read files on the server, in a read-only transaction too (COPY … PROGRAM)."""

ROLE = (
    "have the operator make a role that may only read: CREATE ROLE agent_reader LOGIN PASSWORD '…'; "
    "GRANT pg_read_all_data TO agent_reader"
)


async def query_postgres(database: Database, password: str, sql: str, most_rows: int) -> Table:
    """The rows of one statement, read in a transaction that cannot write.

    Raises:
        BadInput: the statement is wrong, more than one, or would change something.
        NotAllowed: the role may do more than read, or less than this.
        TimedOut: it took too long.
        EngineUnavailable: the server cannot be reached.
        EngineFailed: it broke the connection.
    """
    import asyncpg

    word = first_word(sql)
    settings = {
        "application_name": "c500-agent",
        "default_transaction_read_only": "on",
        "statement_timeout": str(int(database.timeout_s * 1000)),
        "lock_timeout": f"{LOCK_WAIT_S}s",
        "idle_in_transaction_session_timeout": f"{int(database.timeout_s) + 5}s",
    }
    try:
        connection: Any = await asyncpg.connect(
            database.url, password=password or None, timeout=CONNECT_S, server_settings=settings
        )
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise EngineUnavailable(
            f"the database at {database.place} cannot be reached: {type(error).__name__}",
            fix="ask the operator to look whether it runs, and at user and password",
        ) from error
    try:
        async with connection.transaction(readonly=True):
            if await connection.fetchval(MAY_TOO_MUCH):
                raise NotAllowed(
                    f"the role {urlsplit(database.url).username} of the database may do more than read", fix=ROLE
                )
            return await _read(connection, sql.strip().removesuffix(";"), word, most_rows)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        raise _told(error, database.timeout_s) from error
    finally:
        await connection.close(timeout=CONNECT_S)


async def _read(connection: Any, sql: str, word: str, most_rows: int) -> Table:
    # Prepared: the server itself takes one statement and no more.
    statement = await connection.prepare(sql)
    columns: Sequence[str] = [attribute.name for attribute in statement.get_attributes()]
    if word not in WRAPPED or not columns:
        cursor = await statement.cursor()
        return filled(
            columns, [[_plain(value) for value in row] for row in await cursor.fetch(most_rows + 1)], most_rows
        )
    numbers = ", ".join(f'"{number}"' for number in range(len(columns)))
    wrapped = await connection.prepare(
        f"SELECT left(row_to_json(q)::text, {ROW_CHARS}) FROM (\n{sql}\n) AS q({numbers})"  # noqa: S608 - see above
    )
    cursor = await wrapped.cursor()
    rows = [_values(row[0], len(columns)) for row in await cursor.fetch(most_rows + 1)]
    return filled(columns, rows, most_rows)


def _values(row: str, columns: int) -> list[Any]:
    """The values of a row of JSON; its text alone where the server cut it."""
    try:
        named = json.loads(row, parse_float=_number)
    except ValueError:
        return [row, *[None] * (columns - 1)]
    return [named[str(number)] for number in range(columns)]


def _number(text: str) -> float | str:
    """A number, as text where a float would change it."""
    number = float(text)
    return number if format(number, "f").rstrip("0") == text.rstrip("0") or repr(number) == text else text


def _plain(value: Any) -> Any:
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _told(error: Exception, timeout_s: float) -> C500Error:
    """What the server says, as ours."""
    import asyncpg

    message = str(error).splitlines()[0] if str(error) else type(error).__name__
    if isinstance(error, asyncpg.QueryCanceledError):
        return TimedOut(f"the query took longer than {timeout_s:g} s", fix="ask for less: add WHERE or LIMIT")
    if isinstance(error, asyncpg.InsufficientPrivilegeError):
        return NotAllowed(f"the database's role may not: {message}", fix="leave this table or function out")
    if isinstance(error, asyncpg.ReadOnlySQLTransactionError):
        return BadInput(f"the database can only be read: {message}", fix="give one SELECT statement", field="sql")
    if isinstance(error, asyncpg.LockNotAvailableError):
        return EngineUnavailable("another session holds the table", fix="try again a little later")
    is_theirs = isinstance(error, asyncpg.PostgresConnectionError | asyncpg.InterfaceError | OSError)
    if is_theirs or isinstance(error, asyncpg.InsufficientResourcesError):
        return EngineFailed(f"the database broke off: {message}", fix="try again a little later, with less")
    fix = "correct the statement; information_schema.columns lists tables and columns"
    return BadInput(f"PostgreSQL: {message}", fix=fix, field="sql")
