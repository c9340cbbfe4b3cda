"""What a migration does in a database happens once, and never under an old token."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from blocks.errors import BadInput, EngineFailed, EngineUnavailable
from blocks.manifests import Fenced
from tasks.ops.migration.kinds import Backfill, Sql
from tasks.ops.migration.places import libpq_variables, with_password
from tasks.ops.migration.target import Entry, apply, connected, fence, fill_part, look, place_of, prepare
from tests.databases import new_database
from tests.processes import eventually
from tests.tasks.ops.migration.shop import psql


@pytest.fixture
def dsn(postgres_url: str) -> str:
    """A new database."""
    return new_database(postgres_url)


@pytest.fixture
async def connection(dsn: str) -> AsyncIterator[Any]:
    """A connection to it."""
    async with connected(dsn, lock_timeout_s=1, timeout_s=10) as made:
        yield made


def entry(name: str = "a/do", token: int = 1) -> Entry:
    return Entry(run="r", name=name, tokens={"shop/db": token})


def sql(script: str, **facts: Any) -> Sql:
    return Sql(kind="sql", database="shop", script=script, **facts)


async def test_statements_run_once(dsn: str, connection: Any) -> None:
    script = sql("CREATE TABLE t (n int); INSERT INTO t VALUES (1)")
    assert await apply(connection, entry(), script)
    assert not await apply(connection, entry(), script)
    assert await apply(connection, entry("b/do"), sql("INSERT INTO t VALUES (2)"))
    assert psql(dsn, "-c", "SELECT count(*) FROM t") == "2"


async def test_what_fails_in_the_middle_leaves_nothing(dsn: str, connection: Any) -> None:
    with pytest.raises(EngineFailed, match="no_such"):
        async with connected(dsn, lock_timeout_s=1, timeout_s=10) as other:
            await apply(other, entry(), sql("CREATE TABLE t (n int); SELECT no_such()"))
    assert await connection.fetchval("SELECT to_regclass('t') IS NULL")
    assert await connection.fetchval("SELECT count(*) FROM c500.ledger") == 0


async def test_an_older_token_is_refused(dsn: str, connection: Any) -> None:
    await apply(connection, entry("a/do", token=7), sql("CREATE TABLE t (n int)"))
    with pytest.raises(Fenced, match="token 6 of shop/db is old: 7 was seen"):
        async with connected(dsn, lock_timeout_s=1, timeout_s=10) as other:
            await apply(other, entry("b/do", token=6), sql("DROP TABLE t"))
    assert await connection.fetchval("SELECT to_regclass('t') IS NOT NULL")


async def test_a_newer_run_waits_for_the_transaction_of_the_older_and_sees_what_it_did(
    dsn: str, connection: Any
) -> None:
    """The older was killed after it had sent COMMIT, or lies asleep in the middle."""
    script = sql("CREATE TABLE t (n int)", lock_timeout_s=20)
    await prepare(connection)
    async with connected(dsn, lock_timeout_s=20, timeout_s=20) as newer:
        async with connection.transaction():
            await fence(connection, {"shop/db": 1})
            await connection.execute("CREATE TABLE t (n int)")
            await connection.execute("INSERT INTO c500.ledger (run, entry, done) VALUES ('r', 'a/do', true)")
            waiting = asyncio.ensure_future(apply(newer, entry(token=2), script))
            await eventually(lambda: psql(dsn, "-c", "SELECT count(*) FROM pg_locks WHERE NOT granted") != "0")
        assert await waiting is False


async def test_statements_without_a_transaction(dsn: str, connection: Any) -> None:
    await apply(connection, entry(), sql("CREATE TABLE t (n int)"))
    script = sql("CREATE INDEX CONCURRENTLY IF NOT EXISTS t_n ON t (n)", transaction=False)
    assert await apply(connection, entry("b/do"), script)
    assert not await apply(connection, entry("b/do"), script)
    assert await connection.fetchval("SELECT indisvalid FROM pg_index WHERE indexrelid = 't_n'::regclass")


BATCH = """
WITH part AS (SELECT n FROM t WHERE n > $1 ORDER BY n LIMIT $2),
filled AS (UPDATE t SET times = times + 1 FROM part WHERE t.n = part.n)
SELECT max(n), count(*) FROM part
"""


async def test_a_backfill_goes_on_where_it_was(dsn: str, connection: Any) -> None:
    psql(dsn, "-c", "CREATE TABLE t (n bigint, times int DEFAULT 0); INSERT INTO t SELECT generate_series(1, 25)")
    await prepare(connection)
    backfill = Backfill(kind="backfill", database="shop", batch=BATCH, rows=10)
    assert await fill_part(connection, entry(), backfill) == (False, 10)
    async with connected(dsn, lock_timeout_s=1, timeout_s=10) as other:
        assert await fill_part(other, entry(token=2), backfill) == (False, 20)
        assert await fill_part(other, entry(token=2), backfill) == (True, 25)
        assert await fill_part(other, entry(token=2), backfill) == (True, 25)
    assert psql(dsn, "-c", "SELECT DISTINCT times FROM t") == "1"


async def test_a_backfill_that_stands_still_is_refused(dsn: str, connection: Any) -> None:
    await prepare(connection)
    backfill = Backfill(kind="backfill", database="shop", batch="SELECT $1::bigint, $2::bigint", rows=10)
    with pytest.raises(EngineFailed, match="stays at 0"):
        await fill_part(connection, entry(), backfill)


async def test_checks_only_read(dsn: str, connection: Any) -> None:
    assert await look(connection, "SELECT true, 3 AS rows, 'x' AS name") == (True, "rows 3, name x")
    assert await look(connection, "SELECT NULL::boolean") == (False, "")
    assert (await look(connection, "SELECT true WHERE false"))[0] is False
    with pytest.raises(BadInput, match="true or false"):
        await look(connection, "SELECT 1")
    with pytest.raises(EngineFailed, match="read-only"):
        async with connected(dsn, lock_timeout_s=1, timeout_s=10) as other:
            await look(other, "CREATE TABLE t (n int)")


async def test_what_passes_may_be_tried_again(dsn: str, connection: Any) -> None:
    psql(dsn, "-c", "CREATE TABLE t (n int)")
    async with connection.transaction():
        await connection.execute("LOCK TABLE t")
        with pytest.raises(EngineUnavailable, match="lock timeout"):
            async with connected(dsn, lock_timeout_s=0.1, timeout_s=10) as other:
                await apply(other, entry(), sql("ALTER TABLE t ADD COLUMN m int"))
    with pytest.raises(EngineUnavailable) as failed:
        async with connected(dsn.replace("correct", "wrong"), lock_timeout_s=1, timeout_s=1):
            pass
    assert "wrong" not in str(failed.value) and failed.value.__cause__ is None


def test_addresses() -> None:
    dsn = with_password("postgresql://ann@db:5433/shop", "p@ss/w")
    assert dsn == "postgresql://ann:p%40ss%2Fw@db:5433/shop"
    told = libpq_variables(dsn + "?sslmode=require")
    assert told == {
        "PGHOST": "db",
        "PGPORT": "5433",
        "PGUSER": "ann",
        "PGPASSWORD": "p@ss/w",
        "PGDATABASE": "shop",
        "PGSSLMODE": "require",
    }


@pytest.mark.parametrize(
    ("dsn", "told"),
    [
        ("postgresql://ann:horse@db:5432/shop", "db:5432/shop"),
        ("postgresql://ann:ho@rse@db/shop?sslmode=require", "db/shop"),
        ("postgresql:///shop", "/shop"),
        ("postgresql://ann:horse@one:1,two:2/shop", "one:1,two:2/shop"),
        ("postgresql://ann:ho/rse@db/shop", "?"),
        ("postgresql://ann:ho?rse@db/shop", "?"),
        ("postgresql://ann:ho#rse@db/shop", "?"),
        ("postgresql://ann:ho[rse@db/shop", "?"),
    ],
)
def test_an_address_is_told_without_its_password(dsn: str, told: str) -> None:
    assert place_of(dsn) == told
