"""Writing a memory down: once for each call, once for each text, and kept back where it may steer an agent."""

import json
from functools import cached_property
from sqlite3 import Connection, Row
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from blocks.accounts.chat import UNSTORABLE
from blocks.errors import BadInput, Conflict, LimitReached, NotFound
from blocks.memory.record import MOST_CHARS, RECALLED, Kind, Namespace, Origin, Remembered, State
from blocks.memory.rows import (
    FROM,
    IS_RECALLED,
    add_origins,
    change,
    made_namespace,
    next_version,
    record_of,
    set_searchable,
    set_vector,
)
from blocks.memory.suspicion import suspicions
from blocks.memory.words import text_hash
from blocks.model import Frozen

if TYPE_CHECKING:
    import numpy as np

REVIEWED_FROM = 8
"""A memory of this importance or more waits for a person, whoever wrote it: it would outrank all others."""

MOST_WAITING = 1_000
"""Memories of a namespace that may wait for a person: whoever floods the review is stopped."""

ROOM_EVERY = 50
"""Writes of a namespace between two looks whether it is full."""

ERASED = ""
"""Stands in `writes` for a memory that is gone."""

ARCHIVED_SHARE = 0.01
"""Of a full namespace, what is archived at once."""


class Draft(Frozen):
    """A memory to be written.

    Attributes:
        namespace: Whose it is.
        text: What it says, without secrets.
        kind: What it tells.
        importance: 1 to 10.
        origin: Where it came from.
        by: The person who writes it; None for an agent.
    """

    namespace: Namespace
    text: str
    kind: Kind
    importance: int
    origin: Origin
    by: str | None = None

    @cached_property
    def reasons(self) -> tuple[str, ...]:
        """Why it must wait for a person; empty when it need not. A person's own word need not."""
        if self.by is not None:
            return ()
        reasons = ["it was written after the run had seen untrusted material"] if self.is_tainted else []
        reasons += suspicions(self.text)
        reasons += ["its importance is 8 or more"] if self.importance >= REVIEWED_FROM else []
        return tuple(reasons)

    @property
    def is_tainted(self) -> bool:
        """Whether its run had seen what came from outside."""
        return "untrusted" in self.origin.labels

    @property
    def state(self) -> State:
        """In which it begins."""
        if self.by is not None:
            return "released"
        return "quarantined" if self.reasons else "active"


def checked_text(text: str) -> str:
    """The text without blanks around it.

    Raises:
        BadInput: it is empty, too long, or no text.
    """
    text = text.strip()
    if not text or len(text) > MOST_CHARS or UNSTORABLE.search(text):
        wrong = f"has {len(text)} characters" if not text or len(text) > MOST_CHARS else "holds what no text may"
        raise BadInput(f"the memory {wrong}", fix=f"write 1 to {MOST_CHARS} characters of plain text", field="text")
    return text


def written_before(database: Connection, origin: Origin, namespace: Namespace) -> Remembered | None:
    """What the same call wrote in an earlier attempt; None for a call that wrote nothing.

    Raises:
        NotFound: it was erased since.
        Conflict: it wrote for somebody else; a run works for one user.
    """
    if not (origin.run_id and origin.call_id):
        return None
    wanted = "SELECT memory_id FROM writes WHERE run_id = ? AND call_id = ?"
    row = database.execute(wanted, (origin.run_id, origin.call_id)).fetchone()
    if row is None:
        return None
    if row["memory_id"] == ERASED:
        raise NotFound("what this call remembered was erased since", fix="it is not to be written again")
    record = record_of(database, row["memory_id"])
    if record.namespace != namespace:
        raise Conflict("this call wrote for another agent or user", fix="give each run an id of its own")
    return Remembered(record=record, is_new=False)


def write(
    database: Connection,
    draft: Draft,
    vector: "np.ndarray[Any, Any] | None",
    embedder: str,
    most_records: int,
    now: float,
) -> Remembered:
    """Write a memory, or note that one with the same text came from here too.

    Args:
        database: Within a transaction that may write.
        draft: The memory.
        vector: Of its text; None when there is none yet.
        embedder: Whose vector.
        most_records: Memories of a namespace that are recalled; of more, the least important are archived.
        now: Seconds since 1970.

    Raises:
        LimitReached: too many memories wait for a person.
        NotFound: this call wrote it before, and it was erased since.
        Conflict: this call wrote for somebody else before.
    """
    if (before := written_before(database, draft.origin, draft.namespace)) is not None:
        return before
    namespace = made_namespace(database, draft.namespace)
    same = _same(database, namespace, draft.text)
    if same is None:
        memory_id = _insert(database, namespace, draft, vector, embedder, now)
    else:
        memory_id = same["memory_id"]
        _again(database, same, draft, now)
    _note(database, draft.origin, memory_id, now)
    if next_version(database, namespace) % max(1, min(ROOM_EVERY, most_records // 20)) < 2:
        _make_room(database, namespace, most_records, now)
    return Remembered(record=record_of(database, memory_id), is_new=same is None)


def _same(database: Connection, namespace: int, text: str) -> Row | None:
    wanted = (
        f"{FROM} WHERE m.namespace = ? AND m.text_hash = ? AND m.merged_into IS NULL AND m.state != 'forgotten' "
        "ORDER BY m.seq LIMIT 1"
    )
    return database.execute(wanted, (namespace, text_hash(text))).fetchone()


def _insert(
    database: Connection,
    namespace: int,
    draft: Draft,
    vector: "np.ndarray[Any, Any] | None",
    embedder: str,
    now: float,
) -> str:
    if draft.state == "quarantined":
        _check_waiting(database, namespace)
    memory_id = uuid4().hex[:16]
    row = {
        "memory_id": memory_id,
        "namespace": namespace,
        "kind": draft.kind,
        "text": draft.text,
        "text_hash": text_hash(draft.text),
        "importance": draft.importance,
        "state": draft.state,
        "reasons": json.dumps(draft.reasons, ensure_ascii=False),
        "created_at": now,
        "used_at": now,
        "changed_at": now,
        "reviewed_by": draft.by,
        "version": next_version(database, namespace),
    }
    seq = insert_row(database, row)
    set_vector(database, seq, vector, embedder)
    add_origins(database, seq, [draft.origin], now)
    set_searchable(database, namespace, seq, draft.text, searchable=draft.state in RECALLED)
    return memory_id


def insert_row(database: Connection, row: dict[str, Any]) -> int:
    """Insert a row into `memories`; returns its number."""
    names = ", ".join(row)
    marks = ", ".join(f":{name}" for name in row)
    made = database.execute(f"INSERT INTO memories ({names}) VALUES ({marks})", row)  # noqa: S608 - names of ours
    if made.lastrowid is None:
        raise RuntimeError("a row was inserted and has no number")
    return made.lastrowid


def _again(database: Connection, same: Row, draft: Draft, now: float) -> None:
    """The text is known: only a clean write, or a person, changes what it counts for."""
    labels = json.dumps(sorted(draft.origin.labels))
    known = "SELECT 1 FROM origins WHERE seq = ? AND run_id = ? AND tool = ? AND labels = ?"
    # One for each run is enough: a run that says the same a thousand times adds nothing.
    if database.execute(known, (same["seq"], draft.origin.run_id, draft.origin.tool, labels)).fetchone() is None:
        add_origins(database, same["seq"], [draft.origin], now)
    if draft.by is not None:
        importance = max(same["importance"], draft.importance)
        change(database, same, now, state="released", reviewed_by=draft.by, importance=importance)
    elif not draft.reasons and same["state"] in (*RECALLED, "archived"):
        state = "active" if same["state"] == "archived" else same["state"]
        importance = max(same["importance"], draft.importance)
        change(database, same, now, state=state, importance=importance, used_at=now)


def _note(database: Connection, origin: Origin, memory_id: str, now: float) -> None:
    if origin.run_id and origin.call_id:
        database.execute("INSERT INTO writes VALUES (?, ?, ?, ?)", (origin.run_id, origin.call_id, memory_id, now))


def _check_waiting(database: Connection, namespace: int) -> None:
    count = "SELECT count(*) FROM memories WHERE namespace = ? AND state = 'quarantined'"
    if database.execute(count, (namespace,)).fetchone()[0] >= MOST_WAITING:
        raise LimitReached(
            f"{MOST_WAITING} memories wait for a person already",
            fix="release or forget some: `c500 memory list --state quarantined`",
        )


def _make_room(database: Connection, namespace: int, most: int, now: float) -> None:
    """Archive the least important, of these the longest unused, when there are too many."""
    count = f"SELECT count(*) FROM memories m WHERE m.namespace = ? AND {IS_RECALLED}"  # noqa: S608
    too_many = database.execute(count, (namespace,)).fetchone()[0] - most
    if too_many <= 0:
        return
    some = too_many + int(most * ARCHIVED_SHARE)
    order = "ORDER BY m.importance, m.used_at, m.seq LIMIT ?"
    for row in database.execute(
        f"{FROM} WHERE m.namespace = ? AND {IS_RECALLED} {order}", (namespace, some)
    ).fetchall():
        change(database, row, now, state="archived")
