"""What people do with memories: look at them, release them, have them forgotten or erased."""

from collections.abc import Sequence
from sqlite3 import Connection, Row
from typing import Any

from blocks.errors import BadInput, Conflict
from blocks.memory.record import MemoryRecord, Namespace, State
from blocks.memory.rows import FROM, change, drop, record_of, records_of, row_of
from blocks.memory.write import ERASED

RELEASABLE: tuple[State, ...] = ("quarantined", "archived", "forgotten")


def listed(
    database: Connection,
    agent: str | None,
    user: str | None,
    states: Sequence[State],
    most: int | None,
    after: int = 0,
) -> tuple[list[MemoryRecord], int]:
    """Memories in the order they were written, and the number of the last; see `Memory.list`."""
    conditions = ["m.seq > :after"]
    given: dict[str, Any] = {"after": after, "most": -1 if most is None else most}
    for name, value in (("agent", agent), ("user", user)):
        if value is not None:
            conditions.append(f"n.{name} = :{name}")
            given[name] = value
    if states:
        conditions.append(f"m.state IN ({', '.join(f':state{number}' for number in range(len(states)))})")
        given |= {f"state{number}": state for number, state in enumerate(states)}
    wanted = f"{FROM} WHERE {' AND '.join(conditions)} ORDER BY m.seq LIMIT :most"
    rows = database.execute(wanted, given).fetchall()
    return records_of(database, rows), rows[-1]["seq"] if rows else after


def release(database: Connection, memory_id: str, by: str, now: float) -> MemoryRecord:
    """Have a memory recalled that was kept back, archived or forgotten; a person has read it.

    Raises:
        BadInput: nobody is named.
        Conflict: it is recalled already, or another took its place.
        NotFound: there is none.
    """
    row = row_of(database, memory_id)
    _check_named(by)
    if row["merged_into"] is not None:
        raise Conflict(
            f"{memory_id} was merged into {row['merged_into']}", fix=f"c500 memory split {row['merged_into']}"
        )
    if row["state"] not in RELEASABLE:
        raise Conflict(f"{memory_id} is {row['state']}: it is recalled already", fix="there is nothing to do")
    change(database, row, now, state="released", reviewed_by=by, forgotten_by=None, used_at=now)
    return record_of(database, memory_id)


def forget(database: Connection, memory_id: str, by: str, namespace: Namespace | None, now: float) -> MemoryRecord:
    """Have a memory no longer recalled; it is erased after 30 days, until then it may be released.

    Args:
        database: Within a transaction that may write.
        memory_id: Which.
        by: Who forgets it, a person or a run of an agent.
        namespace: Only of this namespace; None for any.
        now: Seconds since 1970.

    Raises:
        NotFound: there is none.
        Conflict: another took its place.
    """
    row = row_of(database, memory_id, namespace)
    _check_named(by)
    if row["merged_into"] is not None:
        raise Conflict(f"{memory_id} was merged into {row['merged_into']}", fix=f"forget {row['merged_into']}")
    if row["state"] != "forgotten":
        change(database, row, now, state="forgotten", forgotten_by=by)
    return record_of(database, memory_id)


def erase(database: Connection, rows: Sequence[Row], now: float) -> int:
    """Take memories out of the database for good, with what they were merged from.

    A memory that was merged from one of them and from others is taken apart: it is erased too, and the others are
    recalled again.

    Returns:
        How many are gone.
    """
    doomed = _with_kin(database, rows)
    for row in doomed.values():
        for part in _parts(database, row["memory_id"]):
            if part["seq"] not in doomed:
                change(database, part, now, merged_into=None)
    drop(database, doomed.values())
    for row in doomed.values():
        database.execute("UPDATE writes SET memory_id = ? WHERE memory_id = ?", (ERASED, row["memory_id"]))
    database.execute(
        "DELETE FROM namespaces WHERE NOT EXISTS (SELECT 1 FROM memories m WHERE m.namespace = namespaces.namespace)"
    )
    return len(doomed)


def rows_of(database: Connection, agent: str | None, user: str | None) -> list[Row]:
    """All rows of an agent, of a user, or of both together.

    Raises:
        BadInput: neither is named.
    """
    if agent is None and user is None:
        raise BadInput("nobody is named whose memory is to be erased", fix="name an agent, a user, or a memory")
    wanted = f"{FROM} WHERE (:agent IS NULL OR n.agent = :agent) AND (:user IS NULL OR n.user = :user)"
    return database.execute(wanted, {"agent": agent, "user": user}).fetchall()


def _with_kin(database: Connection, rows: Sequence[Row]) -> dict[int, Row]:
    """The rows, all they were merged from, and all that was merged from them; by number."""
    doomed = {row["seq"]: row for row in rows}
    asked_for = list(rows)
    while asked_for:
        row = asked_for.pop()
        for part in _parts(database, row["memory_id"]):
            if part["seq"] not in doomed:
                doomed[part["seq"]] = part
                asked_for.append(part)
    merged = [row["merged_into"] for row in doomed.values() if row["merged_into"] is not None]
    while merged:
        found = database.execute(f"{FROM} WHERE m.memory_id = ?", (merged.pop(),)).fetchone()
        if found is not None and found["seq"] not in doomed:
            doomed[found["seq"]] = found
            if found["merged_into"] is not None:
                merged.append(found["merged_into"])
    return doomed


def _parts(database: Connection, memory_id: str) -> list[Row]:
    return database.execute(f"{FROM} WHERE m.merged_into = ? ORDER BY m.seq", (memory_id,)).fetchall()


def _check_named(by: str) -> None:
    if not by.strip():
        raise BadInput("it is not said who decides", fix="name a person", field="by")
