"""Memories that say the same become one; what they were stays for 30 days, so that it can be undone."""

import json
from collections.abc import Sequence
from hashlib import sha256
from sqlite3 import Connection, Row
from typing import TYPE_CHECKING, Any

from blocks.errors import BadInput, Conflict
from blocks.memory.record import MemoryRecord, State
from blocks.memory.rows import (
    FROM,
    IS_RECALLED,
    add_origins,
    change,
    drop,
    made_namespace,
    next_version,
    record_of,
    records_of,
    row_of,
    set_searchable,
    set_vector,
)
from blocks.memory.suspicion import suspicions
from blocks.memory.words import text_hash
from blocks.memory.write import insert_row
from blocks.model import Frozen

if TYPE_CHECKING:
    import numpy as np

    from blocks.memory.vectors import Shelf

KEPT_S = 30 * 86_400.0
"""How long what was merged or forgotten can be had back."""

IDLE_S = 90 * 86_400.0
UNIMPORTANT = 3
"""A memory of at most this importance that nobody recalled for `IDLE_S` is archived."""

MOST_PARTS = 6
"""Memories that are looked at together."""

BY_RULE, BY_MODEL = 1, 2
"""How closely a memory was compared with those that are like it."""

COMPARED_AT_ONCE = 100
"""Memories compared in one transaction: about a second where each is compared with 100,000 others."""


class Tidied(Frozen):
    """What became of old memories.

    Attributes:
        erased: Gone for good, since they were merged or forgotten long ago.
        archived: No longer recalled, since nobody needed them.
    """

    erased: int = 0
    archived: int = 0


class Compared(Frozen):
    """What came of comparing some memories with all others.

    Attributes:
        group: Two to `MOST_PARTS` memories that may say the same; empty when none of those compared are alike.
        is_last: Whether all were compared.
    """

    group: tuple[MemoryRecord, ...] = ()
    is_last: bool = False


def next_group(database: Connection, namespace: int, shelf: "Shelf", least: float, level: int) -> Compared:
    """Compare memories that were not compared yet, until some are alike or `COMPARED_AT_ONCE` were compared.

    Those that are like no other are marked as compared on the way; see `mark_compared` and `merge` for the others.

    Args:
        database: Within a transaction that may write.
        namespace: Its number.
        shelf: Its vectors.
        least: Least cosine.
        level: How closely they are compared: `BY_RULE` or `BY_MODEL`; those compared so or better are passed over.
    """
    wanted = f"{FROM} WHERE m.namespace = ? AND m.grouped < ? AND {IS_RECALLED} ORDER BY m.seq LIMIT ?"
    rows = database.execute(wanted, (namespace, level, COMPARED_AT_ONCE)).fetchall()
    for row in rows:
        if alike := _alike(database, row, shelf, least):
            return Compared(group=tuple(records_of(database, [row, *alike])))
        mark_compared(database, [row["memory_id"]], level)
    return Compared(is_last=len(rows) < COMPARED_AT_ONCE)


def mark_compared(database: Connection, memory_ids: Sequence[str], level: int) -> None:
    """Say that these need not be compared again, until one comes that is like them."""
    marked = "UPDATE memories SET grouped = max(grouped, ?) WHERE memory_id = ?"
    database.executemany(marked, [(level, one) for one in memory_ids])


def merge(
    database: Connection,
    memory_ids: Sequence[str],
    text: str,
    vector: "np.ndarray[Any, Any] | None",
    embedder: str,
    now: float,
) -> MemoryRecord:
    """Put one memory into the place of several.

    It has the origins of all of them, and so all their labels; their greatest importance; all their uses. A text that
    no part has word for word is of a model: then every part must be `active` and of trusted origin, since nobody has
    read what came of it.

    Args:
        database: Within a transaction that may write.
        memory_ids: The parts, two or more of one namespace and kind, all recalled.
        text: What the new one says.
        vector: Of the text; None when there is none yet.
        embedder: Whose vector.
        now: Seconds since 1970.

    Raises:
        Conflict: a part changed meanwhile, or may not be rewritten.
        BadInput: the text looks like instructions.
        NotFound: a part is gone.
    """
    rows = [row_of(database, memory_id) for memory_id in memory_ids]
    parts = records_of(database, rows)
    _check_mergeable(parts, text)
    same = [part for part in parts if text_hash(part.text) == text_hash(text)]
    state: State = "released" if any(part.state == "released" for part in same) else "active"
    reviewed = next((part.reviewed_by for part in same if part.state == "released"), None)
    namespace = made_namespace(database, parts[0].namespace)
    merged_id = sha256("/".join(sorted(memory_ids)).encode()).hexdigest()[:16]
    seq = insert_row(
        database,
        {
            "memory_id": merged_id,
            "namespace": namespace,
            "kind": parts[0].kind,
            "text": text,
            "text_hash": text_hash(text),
            "importance": max(part.importance for part in parts),
            "state": state,
            "reasons": json.dumps(sorted({reason for part in same for reason in part.reasons}), ensure_ascii=False),
            "accesses": sum(part.accesses for part in parts),
            "created_at": min(part.created_at for part in parts).timestamp(),
            "used_at": max(part.used_at for part in parts).timestamp(),
            "changed_at": now,
            "reviewed_by": reviewed,
            "grouped": 0 if same else BY_MODEL,  # what a model wrote is not rewritten at once
            "version": next_version(database, namespace),
        },
    )
    set_vector(database, seq, vector, embedder)
    add_origins(database, seq, [origin for part in parts for origin in part.origins], now)
    set_searchable(database, namespace, seq, text, searchable=True)
    for row in rows:
        change(database, row, now, merged_into=merged_id)
    return record_of(database, merged_id)


def split(database: Connection, memory_id: str, now: float) -> list[MemoryRecord]:
    """Undo a merge: the parts are recalled again, the memory that took their place is erased.

    Raises:
        NotFound: there is no such memory.
        Conflict: it was merged from nothing, too long ago, or into another itself.
    """
    row = row_of(database, memory_id)
    if row["merged_into"] is not None:
        raise Conflict(
            f"{memory_id} was merged into {row['merged_into']} itself", fix=f"split {row['merged_into']} first"
        )
    parts = database.execute(f"{FROM} WHERE m.merged_into = ? ORDER BY m.seq", (memory_id,)).fetchall()
    if not parts:
        raise Conflict(
            f"nothing is known that {memory_id} was merged from", fix="parts are kept for 30 days after a merge"
        )
    for part in parts:
        change(database, part, now, merged_into=None)
    mark_compared(database, [part["memory_id"] for part in parts], BY_MODEL)
    drop(database, [row])
    return [record_of(database, part["memory_id"]) for part in parts]


def tidy(database: Connection, now: float) -> Tidied:
    """Archive what nobody needed for long; erase what was merged or forgotten long ago, and old notes of calls."""
    idle = f"{FROM} WHERE m.state = 'active' AND m.merged_into IS NULL AND m.importance <= ? AND m.used_at < ?"
    unused = database.execute(idle, (UNIMPORTANT, now - IDLE_S)).fetchall()
    for row in unused:
        change(database, row, now, state="archived")
    old = f"{FROM} WHERE (m.state = 'forgotten' OR m.merged_into IS NOT NULL) AND m.changed_at < ?"
    gone = database.execute(old, (now - KEPT_S,)).fetchall()
    drop(database, gone)
    for table in ("recalls", "writes"):
        database.execute(f"DELETE FROM {table} WHERE at < ?", (now - IDLE_S,))  # noqa: S608 - names of ours
    return Tidied(erased=len(gone), archived=len(unused))


def _alike(database: Connection, row: Row, shelf: "Shelf", least: float) -> list[Row]:
    """Memories of the same kind that are like this one, the most alike first."""
    import numpy as np

    vector = shelf.vector_of(row["seq"])
    if vector is None:
        return []
    cosine = (shelf.vectors[: shelf.count] @ vector).round(5)
    places = np.flatnonzero((cosine >= least) & (shelf.seqs[: shelf.count] != 0))
    near = {int(shelf.seqs[place]): float(cosine[place]) for place in places}
    near.pop(row["seq"], None)
    best = sorted(near, key=lambda seq: (-near[seq], seq))[: 4 * MOST_PARTS]
    found = [database.execute(f"{FROM} WHERE m.seq = ?", (seq,)).fetchone() for seq in best]
    return [one for one in found if one["kind"] == row["kind"]][: MOST_PARTS - 1]


def _check_mergeable(parts: Sequence[MemoryRecord], text: str) -> None:
    first = parts[0]
    if len(parts) < 2 or any((part.namespace, part.kind) != (first.namespace, first.kind) for part in parts):
        raise BadInput("only memories of one namespace and kind are merged, two or more", fix="choose others")
    if changed := [part.memory_id for part in parts if not part.is_recalled]:
        raise Conflict(f"{changed[0]} changed meanwhile: it is no longer recalled", fix="look for the group again")
    if any(text_hash(part.text) == text_hash(text) for part in parts):
        return
    if kept := [part.memory_id for part in parts if part.state != "active" or "untrusted" in part.labels]:
        raise Conflict(
            f"{kept[0]} was released by a person, or came from outside: its words may not be changed",
            fix="merge it with the words of a part",
        )
    if reasons := suspicions(text):
        raise BadInput(f"the merged text looks like instructions: {reasons[0]}", fix="leave the memories apart")
