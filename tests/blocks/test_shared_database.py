"""A small database that processes share."""

import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from blocks.errors import StoreFailed
from blocks.shared_database import SharedDatabase, use_write_ahead_log

ROOT = Path(__file__).parents[2]
SCHEMA = "CREATE TABLE IF NOT EXISTS words (word TEXT PRIMARY KEY);"
INSERT = "INSERT INTO words VALUES (?)"


def words(path: Path) -> list[str]:
    with SharedDatabase(path, SCHEMA).change() as database:
        return [word for (word,) in database.execute("SELECT word FROM words ORDER BY word")]


def test_a_transaction_happens_whole_or_not_at_all(tmp_path: Path) -> None:
    shared = SharedDatabase(tmp_path / "new" / "words.db", SCHEMA)
    with shared.change() as database:
        database.execute(INSERT, ("kept",))
    with pytest.raises(RuntimeError, match="in between"), shared.change() as database:
        database.execute(INSERT, ("lost",))
        raise RuntimeError("in between")
    assert words(tmp_path / "new" / "words.db") == ["kept"]


def test_a_mistake_in_it_is_told_and_the_next_goes_on(tmp_path: Path) -> None:
    shared = SharedDatabase(tmp_path / "words.db", SCHEMA)
    with pytest.raises(StoreFailed, match="no such table"), shared.change() as database:
        database.execute("SELECT 1 FROM absent")
    with shared.change() as database:
        database.execute(INSERT, ("kept",))
    assert words(tmp_path / "words.db") == ["kept"]


def test_threads_take_turns(tmp_path: Path) -> None:
    shared = SharedDatabase(tmp_path / "words.db", SCHEMA)

    def write(number: int) -> None:
        for turn in range(20):
            with shared.change() as database:
                database.execute(INSERT, (f"{number}/{turn}",))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(words(tmp_path / "words.db")) == 160


HALF = """
import sys
from pathlib import Path
from blocks.shared_database import SharedDatabase, use_write_ahead_log
shared = SharedDatabase(Path(sys.argv[1]), sys.argv[2])
with shared.change() as database:
    database.execute("INSERT INTO words VALUES ('lost')")
    print("half", flush=True)
    sys.stdin.read()
"""


def test_a_process_that_is_killed_in_between_leaves_nothing_and_holds_up_nobody(tmp_path: Path) -> None:
    arguments = [sys.executable, "-c", HALF, tmp_path / "words.db", SCHEMA]
    process = subprocess.Popen(arguments, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout
    assert process.stdout.readline() == b"half\n"
    process.kill()
    process.communicate()
    assert words(tmp_path / "words.db") == []


def test_what_is_no_database_and_where_none_can_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"not a database, but quite long for something that is none" * 50)
    for path in (tmp_path / "file", tmp_path / "file" / "words.db"):
        with pytest.raises(StoreFailed, match="cannot be used"), SharedDatabase(path, SCHEMA).change():
            pass


def test_the_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    words(tmp_path / "own" / "words.db")
    assert (tmp_path / "own").stat().st_mode & 0o777 == 0o700


def test_who_comes_while_another_writes_waits_to_switch_the_log(tmp_path: Path) -> None:
    """Two that open a new file at once: SQLite tells the second at once that it is locked, whatever its timeout."""
    path, waited = tmp_path / "new.db", list[float]()
    first, second = (sqlite3.connect(path, isolation_level=None, timeout=30) for _ in "ab")
    first.execute("CREATE TABLE words (word TEXT)")
    first.execute("BEGIN IMMEDIATE")

    def pause(seconds: float) -> None:
        waited.append(seconds)
        first.execute("COMMIT")

    use_write_ahead_log(second, 30, pause)
    assert len(waited) == 1
    assert second.execute("PRAGMA journal_mode").fetchall() == [("wal",)]
    first.close()
    second.close()


def test_a_log_that_stays_locked_is_told(tmp_path: Path) -> None:
    path = tmp_path / "new.db"
    first, second = (sqlite3.connect(path, isolation_level=None) for _ in "ab")
    first.execute("BEGIN IMMEDIATE")
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        use_write_ahead_log(second, 0, lambda _: None)
    first.close()
    second.close()
