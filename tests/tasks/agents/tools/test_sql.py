"""SQLite files that agents may read."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.databases_file import Database, Databases
from blocks.errors import BadInput, EngineFailed, EngineUnavailable, NotFound, TimedOut
from tasks.agents.tool import Tool
from tasks.agents.tools import sql
from tasks.agents.tools.sql.rows import first_word
from tests.tasks.agents.tools.conftest import Hand


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """An SQLite file with a table of calls."""
    path = tmp_path / "my calls#1.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE calls (id INTEGER PRIMARY KEY, who TEXT, seconds REAL, raw BLOB)")
        connection.executemany(
            "INSERT INTO calls VALUES (?, ?, ?, ?)", [(n, f"Lan {n}", n / 2, b"\x00\xff") for n in range(1, 1001)]
        )
    connection.close()
    return path


def tool_of(folder: Path, **databases: Database) -> Tool[Any]:
    [tool] = sql.tools(Databases(folder=folder, by_name=databases))
    return tool


@pytest.fixture
def query(path: Path) -> Tool[Any]:
    url = "sqlite:///my%20calls%231.db"
    return tool_of(path.parent, calls=Database(url=url, description="calls of the hotline", timeout_s=1))


async def test_rows_come_with_their_columns(hand: Hand, query: Tool[Any]) -> None:
    found = await hand.use(query, database="calls", sql="SELECT id, who, seconds, raw, NULL n FROM calls LIMIT 2;")
    assert found == {
        "columns": ["id", "who", "seconds", "raw", "n"],
        "rows": [[1, "Lan 1", 0.5, "0x00ff (2 bytes)", None], [2, "Lan 2", 1.0, "0x00ff (2 bytes)", None]],
    }


async def test_many_rows_are_cut_and_said_to_be(hand: Hand, query: Tool[Any]) -> None:
    found = await hand.use(query, database="calls", sql="SELECT id FROM calls", most_rows=10)
    assert len(found["rows"]) == 10 and "more" in found
    long = await hand.use(query, database="calls", sql="SELECT hex(zeroblob(5000)) FROM calls", most_rows=1000)
    assert len(long["rows"]) < 10 and "10000 characters" in long["rows"][0][0]


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM calls",
        "DROP TABLE calls",
        "INSERT INTO calls (who) VALUES ('x')",
        "UPDATE calls SET who = ''",
        "ATTACH 'other.db' AS other",
        "VACUUM INTO 'copy.db'",
        "PRAGMA journal_mode = DELETE",
        "PRAGMA writable_schema = 1",
        "SELECT load_extension('x')",
        "SELECT 1; DELETE FROM calls",
        "WITH a AS (SELECT 1) DELETE FROM calls",
        "/* SELECT */ DELETE FROM calls",
        "-- SELECT\nDELETE FROM calls",
        "BEGIN",
        "",
    ],
)
async def test_nothing_is_changed(hand: Hand, query: Tool[Any], path: Path, statement: str) -> None:
    before = path.read_bytes()
    with pytest.raises(BadInput):
        await hand.use(query, database="calls", sql=statement or " ")
    assert path.read_bytes() == before
    assert sorted(one.name for one in path.parent.glob("*.db")) == [path.name]


async def test_the_schema_can_be_looked_at(hand: Hand, query: Tool[Any]) -> None:
    tables = await hand.use(query, database="calls", sql="SELECT name FROM sqlite_schema WHERE type = 'table'")
    assert tables["rows"] == [["calls"]]
    columns = await hand.use(query, database="calls", sql="PRAGMA table_info(calls)")
    assert [row[1] for row in columns["rows"]] == ["id", "who", "seconds", "raw"]
    plan = await hand.use(query, database="calls", sql="EXPLAIN QUERY PLAN SELECT * FROM calls WHERE id = 1")
    assert "calls" in str(plan["rows"])


async def test_a_query_without_end_is_ended(hand: Hand, query: Tool[Any]) -> None:
    endless = "WITH RECURSIVE a(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM a) SELECT sum(n) FROM a"
    with pytest.raises(TimedOut):
        await hand.use(query, database="calls", sql=endless)


async def test_a_value_without_measure_is_refused(hand: Hand, query: Tool[Any]) -> None:
    with pytest.raises(BadInput, match="too big"):
        await hand.use(query, database="calls", sql="SELECT zeroblob(900000000)")


async def test_what_is_wrong_is_told(hand: Hand, query: Tool[Any], tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no such column"):
        await hand.use(query, database="calls", sql="SELECT whom FROM calls")
    with pytest.raises(NotFound, match="no database"):
        hand.touches(query, database="other", sql="SELECT 1")
    (tmp_path / "text.db").write_text("this is no database at all" * 100)
    broken = tool_of(tmp_path, a=Database(url="sqlite:///text.db"), b=Database(url="sqlite:///none.db"))
    with pytest.raises(EngineFailed):
        await hand.use(broken, database="a", sql="SELECT 1 FROM x")
    with pytest.raises(NotFound):
        await hand.use(broken, database="b", sql="SELECT 1")
    assert not (tmp_path / "none.db").exists()


async def test_a_locked_database_is_waited_for_and_told(
    hand: Hand, path: Path, query: Tool[Any], monkeypatch: Any
) -> None:
    monkeypatch.setattr("tasks.agents.tools.sql.sqlite.LOCK_WAIT_S", 0.01)
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute("BEGIN EXCLUSIVE")
    with pytest.raises(EngineUnavailable, match="holds"):
        await hand.use(query, database="calls", sql="SELECT 1 FROM calls")
    writer.close()


def test_rules_see_the_file_and_the_labels(hand: Hand, path: Path, query: Tool[Any], tmp_path: Path) -> None:
    (tmp_path / "link.db").symlink_to(path)
    linked = tool_of(tmp_path, a=Database(url=f"sqlite:///{tmp_path}/link.db", trusted=True))
    assert hand.touches(query, database="calls", sql="SELECT 1").reads == (str(path),)
    assert hand.touches(linked, database="a", sql="SELECT 1").reads == (str(path),)
    assert query.labels == {"private", "untrusted"} and linked.labels == {"private"}
    assert "calls (SQLite: calls of the hotline)" in query.description
    assert sql.tools(Databases(folder=tmp_path, by_name={})) == ()


@given(st.text(alphabet="ab -/*(\n;", max_size=30))
def test_comments_do_not_hide_the_first_word(text: str) -> None:
    try:
        word = first_word(text + "\nDELETE FROM x")
    except BadInput:
        return
    raise AssertionError(f"{word} is not what the statement begins with")


@pytest.mark.parametrize("text", ["(" * 19_000, "/*" * 9000, "--" * 9000, "/* " + "*" * 19_000, "-- \n" * 4000])
def test_odd_statements_are_looked_through_in_time(text: str) -> None:
    with pytest.raises(BadInput):
        first_word(text)
