"""Memories as rows: found, read, indexed and taken away; within a transaction of the caller's."""

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from sqlite3 import Connection, Row
from typing import TYPE_CHECKING, Any

from blocks.errors import NotFound
from blocks.memory.record import RECALLED, MemoryRecord, Namespace, Origin
from blocks.memory.words import words

if TYPE_CHECKING:
    import numpy as np

COLUMNS = (
    "m.seq, m.memory_id, m.kind, m.text, m.importance, m.state, m.reasons, m.accesses, m.created_at, m.used_at, "
    "m.reviewed_by, m.forgotten_by, m.merged_into, m.namespace, n.agent, n.user"
)
FROM = f"SELECT {COLUMNS} FROM memories m JOIN namespaces n USING (namespace)"  # noqa: S608 - no value is in it
IS_RECALLED = f"m.merged_into IS NULL AND m.state IN {RECALLED}"

AT_ONCE = 500
"""Values of one statement."""


def namespace_number(database: Connection, namespace: Namespace) -> int | None:
    """The namespace's number; None when nothing was ever written into it."""
    wanted = "SELECT namespace FROM namespaces WHERE agent = ? AND user = ?"
    row = database.execute(wanted, (namespace.agent, namespace.user)).fetchone()
    return row[0] if row else None


def made_namespace(database: Connection, namespace: Namespace) -> int:
    """The namespace's number; it is made when there is none."""
    key = (namespace.agent, namespace.user)
    database.execute("INSERT INTO namespaces (agent, user) VALUES (?, ?) ON CONFLICT DO NOTHING", key)
    number = namespace_number(database, namespace)
    if number is None:
        raise RuntimeError("a namespace was made and is not there")
    return number


def next_version(database: Connection, namespace: int) -> int:
    """Count a change of what is recalled."""
    bump = "UPDATE namespaces SET version = version + 1 WHERE namespace = ? RETURNING version"
    return database.execute(bump, (namespace,)).fetchone()[0]


def row_of(database: Connection, memory_id: str, namespace: Namespace | None = None) -> Row:
    """A memory's row. Raises `NotFound`, also for one of another namespace."""
    row = database.execute(f"{FROM} WHERE m.memory_id = ?", (memory_id,)).fetchone()
    if row is None or (namespace is not None and (row["agent"], row["user"]) != (namespace.agent, namespace.user)):
        raise NotFound(f"there is no memory {memory_id!r}", fix="see `c500 memory list`", field="memory_id")
    return row


def records_of(database: Connection, rows: Sequence[Row]) -> list[MemoryRecord]:
    """Rows as records, with their origins."""
    by_seq: dict[int, list[Origin]] = {row["seq"]: [] for row in rows}
    for some in _in_parts(list(by_seq)):
        wanted = f"SELECT * FROM origins WHERE seq IN ({_marks(some)}) ORDER BY seq, at, rowid"  # noqa: S608
        for origin in database.execute(wanted, some):
            by_seq[origin["seq"]].append(_origin(origin))
    return [_record(row, tuple(by_seq[row["seq"]])) for row in rows]


def record_of(database: Connection, memory_id: str) -> MemoryRecord:
    """A memory. Raises `NotFound`."""
    return records_of(database, [row_of(database, memory_id)])[0]


def rows_with(database: Connection, seqs: Sequence[int]) -> list[Row]:
    """The rows of these numbers, in order of the numbers."""
    found: list[Row] = []
    for some in _in_parts(list(seqs)):
        found += database.execute(f"{FROM} WHERE m.seq IN ({_marks(some)})", some)
    return sorted(found, key=lambda row: row["seq"])


def add_origins(database: Connection, seq: int, origins: Iterable[Origin], now: float) -> None:
    """Say where a memory came from."""
    for one in origins:
        at = one.at.timestamp() if one.at else now
        row = (seq, one.run_id, one.call_id, one.tool, json.dumps(sorted(one.labels)), at)
        database.execute("INSERT INTO origins VALUES (?, ?, ?, ?, ?, ?)", row)


def set_vector(database: Connection, seq: int, vector: "np.ndarray[Any, Any] | None", embedder: str) -> None:
    """Keep a memory's vector; None when there is none yet."""
    if vector is not None:
        database.execute("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?)", (seq, embedder, vector.tobytes()))


def set_searchable(database: Connection, namespace: int, seq: int, text: str, *, searchable: bool) -> None:
    """Take a memory's words into the index, or out of it."""
    database.execute("DELETE FROM memory_words WHERE rowid = ?", (seq,))
    if searchable:
        marked = " ".join(term(namespace, word) for word in words(text))
        database.execute("INSERT INTO memory_words (rowid, words) VALUES (?, ?)", (seq, marked))


def term(namespace: int, word: str) -> str:
    """A word as the index knows it; no word of another namespace can look like it."""
    return f"{namespace}x{word}"


def change(database: Connection, row: Row, now: float, **columns: Any) -> None:
    """Change a memory's state or place, and with it whether it is found."""
    version = next_version(database, row["namespace"])
    given = {**columns, "version": version, "changed_at": now}
    names = ", ".join(f"{name} = :{name}" for name in given)
    database.execute(f"UPDATE memories SET {names} WHERE seq = :seq", {**given, "seq": row["seq"]})  # noqa: S608
    searchable = columns.get("state", row["state"]) in RECALLED
    searchable = searchable and columns.get("merged_into", row["merged_into"]) is None
    set_searchable(database, row["namespace"], row["seq"], row["text"], searchable=searchable)


def drop(database: Connection, rows: Iterable[Row]) -> None:
    """Take memories out of the database, with all that hangs on them."""
    for row in rows:
        database.execute("DELETE FROM memory_words WHERE rowid = ?", (row["seq"],))
        database.execute("DELETE FROM memories WHERE seq = ?", (row["seq"],))
        bump = "UPDATE namespaces SET version = version + 1, epoch = epoch + 1 WHERE namespace = ?"
        database.execute(bump, (row["namespace"],))


def moment(seconds: float) -> datetime:
    """Seconds since 1970 as a moment, UTC."""
    return datetime.fromtimestamp(seconds, UTC)


def _record(row: Row, origins: tuple[Origin, ...]) -> MemoryRecord:
    return MemoryRecord(
        memory_id=row["memory_id"],
        namespace=Namespace(agent=row["agent"], user=row["user"]),
        kind=row["kind"],
        text=row["text"],
        importance=row["importance"],
        state=row["state"],
        reasons=tuple(json.loads(row["reasons"])),
        accesses=row["accesses"],
        created_at=moment(row["created_at"]),
        used_at=moment(row["used_at"]),
        origins=origins,
        reviewed_by=row["reviewed_by"],
        forgotten_by=row["forgotten_by"],
        merged_into=row["merged_into"],
    )


def _origin(row: Row) -> Origin:
    return Origin(
        run_id=row["run_id"],
        call_id=row["call_id"],
        tool=row["tool"],
        labels=frozenset(json.loads(row["labels"])),
        at=moment(row["at"]),
    )


def _in_parts(values: list[int]) -> Iterable[list[int]]:
    return (values[start : start + AT_ONCE] for start in range(0, len(values), AT_ONCE))


def _marks(values: Sequence[int]) -> str:
    return ", ".join("?" * len(values))
