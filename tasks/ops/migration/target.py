"""What a migration does in a PostgreSQL database: each thing once, and never under an old token.

The schema `c500` of the database has two tables: `ledger`, which says what was done and is written in the same
transaction that does it, and `fences`, the largest token seen of each resource. So a process that was killed between a
commit and the manifest repeats nothing, and one that was overtaken while it slept changes nothing.
"""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from blocks.errors import BadInput, C500Error, EngineFailed, EngineUnavailable, TimedOut
from blocks.manifests import Fenced
from tasks.ops.migration.kinds import Backfill, Sql

CONNECT_S = 15
LOOK_S = 5
"""Before anything is begun, a database must answer within this."""

CREATES = 5_001_001
"""Key of the advisory lock under which the schema is made: CREATE … IF NOT EXISTS alone loses races."""

OLD_TOKEN = "C5F00"  # noqa: S105 - a fencing token
"""SQLSTATE of `c500.fence` where a token is old."""

TRANSIENT = frozenset({"55P03", "40P01", "40001", "57P01", "57P02", "57P03", "53300", "08000", "08003", "08006"})
"""SQLSTATEs that come and go: a lock not had in time, deadlocks, a server that restarts or has no room."""

BOOKKEEPING = """
CREATE SCHEMA IF NOT EXISTS c500;
CREATE TABLE IF NOT EXISTS c500.fences (
    resource text PRIMARY KEY, token bigint NOT NULL, changed_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE IF NOT EXISTS c500.ledger (
    run text, entry text, done boolean NOT NULL, place text, rows bigint NOT NULL DEFAULT 0,
    changed_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (run, entry)
);
CREATE OR REPLACE FUNCTION c500.fence(wanted text, given bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE latest bigint;
BEGIN
    INSERT INTO c500.fences AS f (resource, token) VALUES (wanted, given)
    ON CONFLICT (resource) DO UPDATE SET token = greatest(f.token, given), changed_at = now()
    RETURNING token INTO latest;
    IF latest > given THEN
        RAISE EXCEPTION 'token % of % is old: % was seen', given, wanted, latest USING ERRCODE = 'C5F00';
    END IF;
    RETURN latest;
END $$;
"""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What is done in a database, for its ledger.

    Attributes:
        run: The migration's.
        name: The same in all attempts to do the same thing.
        tokens: The fencing tokens under which it is done, by resource.
    """

    run: str
    name: str
    tokens: Mapping[str, int]


@asynccontextmanager
async def connected(
    dsn: str, *, lock_timeout_s: float, timeout_s: float, connect_s: int = CONNECT_S
) -> AsyncGenerator[Any]:
    """A connection to a database; its errors are typed.

    Raises:
        EngineUnavailable: it cannot be reached, or something that passes is in the way.
        BadInput, TimedOut, EngineFailed: what the server says to a statement.
        Fenced: a token is old.
    """
    import asyncpg

    settings = {
        "application_name": "c500-migrate",
        "lock_timeout": f"{int(lock_timeout_s * 1000)}ms",
        "statement_timeout": f"{int(timeout_s * 1000)}ms",
        "idle_in_transaction_session_timeout": "60s",
    }
    try:
        connection: Any = await asyncpg.connect(
            dsn, timeout=connect_s, server_settings=settings, statement_cache_size=0
        )
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, ValueError) as error:
        # Without the cause: asyncpg quotes the address, and with it the password. What the server says does not.
        said = (
            f": {str(error).splitlines()[0][:200]}" if isinstance(error, asyncpg.PostgresError) and str(error) else ""
        )
        raise EngineUnavailable(
            f"the database {place_of(dsn)} cannot be reached: {type(error).__name__}{said}",
            fix="look whether it runs, and at its address",
        ) from None
    try:
        yield connection
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        raise told(error) from error
    finally:
        await _closed(connection)


def place_of(dsn: str) -> str:
    """Host, port and database of an address, without who asks and the password; `?` where it is not well written."""
    try:
        parts = urlsplit(dsn)
    except ValueError:
        return "?"
    # A password with a `/`, `?` or `#` that is not escaped ends the part before the `@` too early.
    if "@" in parts.path + parts.query + parts.fragment:
        return "?"
    return f"{parts.netloc.rpartition('@')[2]}{parts.path}" or "?"


async def prepare(connection: Any) -> None:
    """Make the tables of the ledger where they are missing."""
    if await connection.fetchval("SELECT to_regprocedure('c500.fence(text, bigint)') IS NOT NULL"):
        return
    async with connection.transaction():
        await connection.execute(f"SELECT pg_advisory_xact_lock({CREATES})")
        await connection.execute(BOOKKEEPING)


async def apply(connection: Any, entry: Entry, sql: Sql) -> bool:
    """Run statements, unless that was done. Whether it was done now.

    Without a transaction the ledger says so only afterwards: each statement must bear being run twice.
    """
    await prepare(connection)
    async with connection.transaction():
        await fence(connection, entry.tokens)
        if await _is_done(connection, entry):
            return False
        if sql.transaction:
            await _run(connection, sql.statements)
            await _note(connection, entry, done=True)
            return True
    await _run(connection, sql.statements)
    async with connection.transaction():
        await fence(connection, entry.tokens)
        await _note(connection, entry, done=True)
    return True


async def fill_part(connection: Any, entry: Entry, backfill: Backfill) -> tuple[bool, int]:
    """Do the next part of a backfill, and note in the same transaction how far it is.

    Returns:
        Whether all is done, and how many rows are so far.

    Raises:
        EngineFailed: the statement does not give what it must, or does not move on.
    """
    async with connection.transaction():
        await fence(connection, entry.tokens)
        found = await connection.fetchrow(
            "SELECT done, place, rows FROM c500.ledger WHERE run = $1 AND entry = $2", entry.run, entry.name
        )
        if found and found["done"]:
            return True, found["rows"]
        place = _key(backfill, found["place"]) if found else backfill.start
        given = await connection.fetchrow(backfill.batch, place, backfill.rows)
        if given is None or len(given) != 2 or not isinstance(given[1], int):
            raise EngineFailed("the batch gives no row with the last key and the number of rows", fix="see its form")
        last, rows = given[0], (found["rows"] if found else 0) + given[1]
        if last is not None and _key(backfill, str(last)) == place:
            raise EngineFailed(f"the batch stays at {place}", fix="it must take keys larger than $1, in their order")
        # A part that is not full is the last: writers that add rows all the time would never let us find none.
        is_last = last is None or given[1] < backfill.rows
        await _note(connection, entry, done=is_last, place=str(place if last is None else last), rows=rows)
        return is_last, rows


async def look(connection: Any, query: str) -> tuple[bool, str]:
    """What a check's query finds: whether its first column is true, and the others in words. Raises `BadInput`."""
    async with connection.transaction(readonly=True):
        row = await connection.fetchrow(query)
    if row is None or not row:
        return False, "no row"
    if not isinstance(row[0], bool | None):
        raise BadInput("the first column of a check must be true or false", fix="compare it with what it must be")
    return row[0] is True, ", ".join(f"{name} {value}" for name, value in [*row.items()][1:])


async def fence(connection: Any, tokens: Mapping[str, int]) -> None:
    """Show the tokens to the database, which remembers them until the transaction ends. Raises where one is old."""
    for resource, token in sorted(tokens.items()):
        await connection.fetchval("SELECT c500.fence($1, $2)", resource, token)


def told(error: Exception) -> C500Error:
    """What the server says, as ours."""
    import asyncpg

    state = getattr(error, "sqlstate", None) or ""
    message = str(error).splitlines()[0][:500] if str(error) else type(error).__name__
    if state == OLD_TOKEN:
        return Fenced(
            message,
            fix="another run goes on with this; where the store of locks was made anew, empty c500.fences",
        )
    lost = isinstance(error, asyncpg.PostgresConnectionError | asyncpg.InterfaceError | OSError)
    if lost or state in TRANSIENT:
        return EngineUnavailable(f"PostgreSQL: {message}", fix="try again a little later")
    if state == "57014":
        return TimedOut(f"PostgreSQL: {message}", fix="give it a longer timeout_s, or smaller parts")
    return EngineFailed(f"PostgreSQL: {message}", fix="correct the statement", sqlstate=state)


async def _run(connection: Any, statements: tuple[str, ...]) -> None:
    for statement in statements:
        # Prepared: the server itself takes one statement and no more.
        await connection.fetch(statement)


async def _is_done(connection: Any, entry: Entry) -> bool:
    asked = "SELECT EXISTS (SELECT FROM c500.ledger WHERE run = $1 AND entry = $2 AND done)"
    return bool(await connection.fetchval(asked, entry.run, entry.name))


async def _note(connection: Any, entry: Entry, *, done: bool, place: str | None = None, rows: int = 0) -> None:
    await connection.execute(
        """
        INSERT INTO c500.ledger (run, entry, done, place, rows) VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (run, entry) DO UPDATE SET done = $3, place = $4, rows = $5, changed_at = now()
        """,
        entry.run,
        entry.name,
        done,
        place,
        rows,
    )


def _key(backfill: Backfill, text: str) -> int | str:
    return int(text) if backfill.key == "bigint" else text


async def _closed(connection: Any) -> None:
    try:
        await connection.close(timeout=CONNECT_S)
    except (OSError, TimeoutError):
        connection.terminate()
