"""The tables of the books."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Engine,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    create_engine,
    event,
    text,
)
from sqlalchemy.types import TypeEngine

from blocks.errors import BadInput
from blocks.shared_database import use_write_ahead_log

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql, sqlite

TABLES = MetaData()

REAL: TypeEngine[Any] = Float()

CALLS = Table(
    "c500_calls",
    TABLES,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("at", REAL, nullable=False, index=True),
    Column("account", String, nullable=False),
    Column("model", String, nullable=False),
    Column("user", String, nullable=False),
    Column("session", String, nullable=False),
    Column("job", String, nullable=False, index=True),
    Column("outcome", String, nullable=False),
    Column("prompt_tokens", BigInteger, nullable=False),
    Column("completion_tokens", BigInteger, nullable=False),
    Column("cached_tokens", BigInteger, nullable=False),
    Column("cost_units", BigInteger, nullable=False),
    Column("priced", Boolean, nullable=False),
    Column("is_estimate", Boolean, nullable=False),
    Column("latency_ms", REAL, nullable=False),
)
"""One row for every call; the columns are those of `books.Entry`."""

TOTALS = Table(
    "c500_totals",
    TABLES,
    Column("day", String, primary_key=True),
    Column("account", String, primary_key=True),
    Column("model", String, primary_key=True),
    Column("user", String, primary_key=True),
    Column("outcome", String, primary_key=True),
    Column("calls", BigInteger, nullable=False),
    Column("prompt_tokens", BigInteger, nullable=False),
    Column("completion_tokens", BigInteger, nullable=False),
    Column("cached_tokens", BigInteger, nullable=False),
    Column("cost_units", BigInteger, nullable=False),
    Column("latency_ms", REAL, nullable=False),
)
"""Sums of the calls, by what they are looked at."""

CACHE = Table(
    "c500_cache",
    TABLES,
    Column("key", String, primary_key=True),
    Column("scope", String, nullable=False),
    Column("at", REAL, nullable=False),
    Column("vector", LargeBinary),
    Column("answer", String, nullable=False),
    Index("c500_cache_scope", "scope", "at"),
)
"""Earlier answers; `vector` is float32."""

OWNERS = Table(
    "c500_cache_owners",
    TABLES,
    Column("key", String, primary_key=True),
    Column("user", String, nullable=False, index=True),
    Column("session", String, nullable=False),
    Column("job", String, nullable=False, index=True),
)
"""For whom an answer of the cache was made: its key, a hash, does not tell."""

SUMMED = Table(
    "c500_summed",
    TABLES,
    Column("at", REAL, primary_key=True),
    Column("account", String, primary_key=True),
    Column("model", String, primary_key=True),
    Column("user", String, primary_key=True),
    Column("session", String, primary_key=True, index=True),
    Column("job", String, primary_key=True, index=True),
    Column("outcome", String, primary_key=True),
    Column("priced", Boolean, primary_key=True),
    Column("is_estimate", Boolean, primary_key=True),
    Column("calls", BigInteger, nullable=False),
    Column("prompt_tokens", BigInteger, nullable=False),
    Column("completion_tokens", BigInteger, nullable=False),
    Column("cached_tokens", BigInteger, nullable=False),
    Column("cost_units", BigInteger, nullable=False),
    Column("latency_ms", REAL, nullable=False),
)
"""What old calls came to, whose rows went by policy: a row for each day and all that sums are asked by; `at` is the
day's midnight, UTC."""

Index("c500_calls_session", CALLS.c.session)

ESTIMATED = Index(
    "c500_calls_estimated",
    CALLS.c.at,
    sqlite_where=text("is_estimate = 1"),  # word for word as in queries: else SQLite leaves it aside
    postgresql_where=CALLS.c.is_estimate,
)
"""The few calls whose cost is estimated, which the totals do not tell from the others."""

BUSY_S = 30.0
"""So long who comes to a locked file waits."""

MAKING = 500_001
"""PostgreSQL's advisory lock under which the tables are made: two processes that start together make them once."""


def open_engine(url: str) -> Engine:
    """The database of that URL, with the tables.

    Raises:
        BadInput: the URL names no database of a kind that we know.
    """
    if url.startswith("sqlite:///"):
        Path(url.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
        engine = create_engine(url, connect_args={"timeout": BUSY_S, "check_same_thread": False})
        event.listen(engine, "connect", _tune)
    elif url.startswith(("postgresql://", "postgresql+psycopg://")):
        engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://", 1), pool_pre_ping=True)
    else:
        raise BadInput(
            "BOOKS_URL names no known database", fix="use sqlite:///path or postgresql://…", field="BOOKS_URL"
        )
    with engine.begin() as connection:
        _make(connection)
    return engine


def upsert(connection: Connection, table: Table) -> "postgresql.Insert | sqlite.Insert":
    """An INSERT that may say what happens when the row is there already."""
    if connection.dialect.name == "postgresql":
        from sqlalchemy.dialects.postgresql import insert
    else:
        from sqlalchemy.dialects.sqlite import insert
    return insert(table)


def _make(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({MAKING})")
    else:
        # The write lock before the tables are looked for, as the lock above; Python's driver begins only at an INSERT.
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    TABLES.create_all(connection)
    ESTIMATED.create(connection, checkfirst=True)  # to books that were made without it


def _tune(connection: Any, _record: Any) -> None:
    """Readers and one writer at a time; a power cut may cost the last second, a killed process nothing."""
    use_write_ahead_log(connection, BUSY_S)
    connection.execute("PRAGMA synchronous=NORMAL")
