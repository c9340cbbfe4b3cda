"""A PostgreSQL database that agents may read, on a real server."""

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from blocks.databases_file import Database
from blocks.errors import BadInput, EngineUnavailable, NotAllowed, NotFound, TimedOut
from tasks.agents.tool import Tool
from tests.databases import new_database
from tests.processes import free_port
from tests.tasks.agents.tools.conftest import Hand
from tests.tasks.agents.tools.test_sql import tool_of


@pytest.fixture(scope="module")
def server_url(postgres_url: str) -> str:
    """A database with a table, and the role `reader` that may read it."""
    return new_database(postgres_url)


@pytest.fixture
async def postgres(server_url: str, tmp_path: Path, monkeypatch: Any) -> Tool[Any]:
    connection = await asyncpg.connect(server_url)
    await connection.execute(
        """DO $$ BEGIN
            CREATE ROLE reader LOGIN PASSWORD 'reader-pass';
        EXCEPTION WHEN duplicate_object THEN NULL; END $$;
        CREATE TABLE IF NOT EXISTS calls (id int PRIMARY KEY, who text, cost numeric, at timestamptz, tags jsonb);
        INSERT INTO calls SELECT n, 'Lan ' || n, n / 3.0, '2025-01-02 03:04:05+00', '["a", {"b": 1}]'
            FROM generate_series(1, 1000) n ON CONFLICT DO NOTHING;
        CREATE TABLE IF NOT EXISTS hidden (secret text);
        CREATE SEQUENCE IF NOT EXISTS numbers;
        GRANT SELECT, INSERT, DELETE ON calls TO reader;
        GRANT ALL ON SEQUENCE numbers TO reader;
        GRANT CREATE ON SCHEMA public TO reader;"""
    )
    await connection.close()
    monkeypatch.setenv("READER_PASSWORD", "reader-pass")
    parts = urlsplit(server_url)
    url = f"postgresql://reader@{parts.hostname}:{parts.port}{parts.path}"
    superuser = f"postgresql://postgres@{parts.hostname}:{parts.port}{parts.path}"
    monkeypatch.setenv("SUPER_PASSWORD", parts.password or "")
    return tool_of(
        tmp_path,
        calls=Database(url=url, password="env:READER_PASSWORD", timeout_s=1),
        all=Database(url=superuser, password="env:SUPER_PASSWORD"),
        gone=Database(url=f"postgresql://reader@127.0.0.1:{free_port()}/x"),
    )


async def test_rows_of_a_server_come_as_json(hand: Hand, postgres: Tool[Any]) -> None:
    found = await hand.use(
        postgres,
        database="calls",
        sql="SELECT id, id, who, cost, at, tags, NULL::text, 'NaN'::float8, '\\xff'::bytea FROM calls ORDER BY 1--",
        most_rows=1,
    )
    assert found["columns"][:2] == ["id", "id"]
    [row] = found["rows"]
    assert row[:3] == [1, 1, "Lan 1"] and str(row[3]).startswith("0.3333")
    assert row[4:] == ["2025-01-02T03:04:05+00:00", ["a", {"b": 1}], None, "NaN", "\\xff"]
    assert "more" in found


async def test_other_reading_statements_of_a_server(hand: Hand, postgres: Tool[Any]) -> None:
    for statement in ("EXPLAIN SELECT * FROM calls;", "SHOW server_version", "VALUES (1), (2)", "TABLE calls"):
        assert (await hand.use(postgres, database="calls", sql=statement))["rows"]
    exact = await hand.use(
        postgres, database="calls", sql="SELECT 0.1::numeric, 12345678901234567890.123456789::numeric"
    )
    assert exact["rows"] == [[0.1, "12345678901234567890.123456789"]]


async def test_a_long_row_of_a_server_is_cut_there(hand: Hand, postgres: Tool[Any]) -> None:
    found = await hand.use(postgres, database="calls", sql="SELECT repeat('x', 50000000) a, 1 b")
    [[text, rest]] = found["rows"]
    assert len(text) < 3000 and rest is None


@pytest.mark.parametrize(
    ("statement", "error"),
    [
        ("INSERT INTO calls (id) VALUES (0)", BadInput),
        ("WITH gone AS (DELETE FROM calls RETURNING *) SELECT * FROM gone", BadInput),
        ("SELECT nextval('numbers')", BadInput),
        ("SELECT * INTO copied FROM calls", BadInput),
        ("EXPLAIN ANALYZE DELETE FROM calls", BadInput),
        ("SELECT 1; COMMIT; DELETE FROM calls", BadInput),
        ("SELECT 1) q; DELETE FROM calls; --", BadInput),
        ("SELECT set_config('transaction_read_only', 'off', false)", BadInput),
        ("COPY calls TO PROGRAM 'touch /tmp/hacked'", BadInput),
        ("SET ROLE postgres", BadInput),
        ("DO $$ BEGIN DELETE FROM calls; END $$", BadInput),
        ("SELECT * FROM hidden", NotAllowed),
        ("SELECT pg_read_file('/etc/passwd')", NotAllowed),
        ("SELECT whom FROM calls", BadInput),
        ("SELECT pg_sleep(60)", TimedOut),
    ],
)
async def test_nothing_of_a_server_is_changed(
    hand: Hand, postgres: Tool[Any], server_url: str, statement: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        await hand.use(postgres, database="calls", sql=statement)
    connection = await asyncpg.connect(server_url)
    assert await connection.fetchval("SELECT count(*) FROM calls") == 1000
    assert await connection.fetchval("SELECT to_regclass('copied')") is None
    await connection.close()


async def test_a_role_that_may_do_more_than_read_is_refused(hand: Hand, postgres: Tool[Any]) -> None:
    with pytest.raises(NotAllowed, match="more than read") as caught:
        await hand.use(postgres, database="all", sql="SELECT 1")
    assert "CREATE ROLE" in caught.value.fix


async def test_a_server_that_is_away_is_told_without_its_password(
    hand: Hand, postgres: Tool[Any], monkeypatch: Any
) -> None:
    with pytest.raises(EngineUnavailable):
        await hand.use(postgres, database="gone", sql="SELECT 1")
    monkeypatch.setenv("READER_PASSWORD", "wr0ng-pa55word")
    with pytest.raises(EngineUnavailable) as caught:
        await hand.use(postgres, database="calls", sql="SELECT 1")
    assert "wr0ng" not in f"{caught.value.message}{caught.value.fix}{caught.value.details}"
    monkeypatch.delenv("READER_PASSWORD")
    with pytest.raises(NotFound, match="READER_PASSWORD"):
        await hand.use(postgres, database="calls", sql="SELECT 1")
