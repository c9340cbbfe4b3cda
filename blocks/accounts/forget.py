"""The books without a person or a job: what was paid stays, and for whom goes."""

from collections.abc import Iterator
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from blocks.accounts.books import SUMS
from blocks.errors import StoreFailed
from blocks.model import Frozen

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection, Engine, Table

NOBODY = "erased"
"""What stands in the place of names that were erased."""

AT_ONCE = 5_000
"""Names in one statement, of each kind: SQLite takes 32,766 values."""


class Names(Frozen):
    """Whom the books are to forget.

    Attributes:
        users: Who paid.
        sessions: Conversations.
        jobs: Jobs, runs of agents, requests, swarms.
    """

    users: tuple[str, ...] = ()
    sessions: tuple[str, ...] = ()
    jobs: tuple[str, ...] = ()

    def pieces(self) -> "Iterator[Names]":
        """The same in pieces that a statement takes."""
        kinds = (self.users, self.sessions, self.jobs)
        cut = [[one[at : at + AT_ONCE] for at in range(0, len(one), AT_ONCE)] for one in kinds]
        for users, sessions, jobs in zip_longest(*cut, fillvalue=()):
            yield Names(users=users, sessions=sessions, jobs=jobs)


def rows_of(engine: "Engine", names: Names) -> Iterator[tuple[str, dict[str, Any]]]:
    """The rows with these names: the table's name, and the row by columns."""
    seen: set[tuple[Any, ...]] = set()
    with engine.connect() as connection:
        for piece in names.pieces():
            for name, keys, row in _rows(connection, piece):
                known = (name, *(row[key] for key in keys))
                if known not in seen:
                    seen.add(known)
                    yield name, row


def _rows(connection: "Connection", names: Names) -> Iterator[tuple[str, list[str], dict[str, Any]]]:
    from sqlalchemy import select

    from blocks.accounts.schema import CACHE, OWNERS

    for table in _tables():
        for row in connection.execute(select(table).where(_named(table, names)).order_by(*table.primary_key)):
            yield table.name, [column.name for column in table.primary_key], dict(row._mapping)  # pyright: ignore[reportPrivateUsage]
    owned = select(CACHE.c.at, CACHE.c.answer, OWNERS).join(OWNERS, OWNERS.c.key == CACHE.c.key)
    for row in connection.execute(owned.where(_named(OWNERS, names)).order_by(OWNERS.c.key)):
        yield CACHE.name, ["key"], dict(row._mapping)  # pyright: ignore[reportPrivateUsage]


def jobs_of(engine: "Engine", names: Names) -> set[str]:
    """The jobs that these users and sessions paid for."""
    from sqlalchemy import select

    from blocks.accounts.schema import CALLS, SUMMED

    with engine.connect() as connection:
        found = {
            str(job)
            for piece in names.pieces()
            for table in (CALLS, SUMMED)
            for (job,) in connection.execute(select(table.c.job).where(_named(table, piece)).distinct())
        }
    return found - {"", NOBODY}


def sessions_of(engine: "Engine", users: tuple[str, ...], ending: str) -> set[str]:
    """The conversations that these users paid for, and those that the gateway named `KEY:ending`."""
    from sqlalchemy import or_, select

    from blocks.accounts.schema import CALLS, SUMMED

    suffix = f":{ending}"
    with engine.connect() as connection:
        found = {
            str(session)
            for table in (CALLS, SUMMED)
            for user, session in connection.execute(
                select(table.c.user, table.c.session)
                .where(or_(table.c.user.in_(users), table.c.session.endswith(suffix, autoescape=True)))
                .distinct()
            )
            # SQLite's LIKE takes `anna` and `Anna` for the same; they are two persons.
            if user in users or str(session).endswith(suffix)
        }
    return found - {"", NOBODY}


def users_of_jobs(engine: "Engine", jobs: tuple[str, ...]) -> dict[str, set[str]]:
    """Who paid for each of these jobs."""
    from sqlalchemy import select

    from blocks.accounts.schema import CALLS, SUMMED

    found: dict[str, set[str]] = {}
    with engine.connect() as connection:
        for table in (CALLS, SUMMED):
            for piece in Names(jobs=jobs).pieces():
                pairs = select(table.c.job, table.c.user).where(table.c.job.in_(piece.jobs)).distinct()
                for job, user in connection.execute(pairs):
                    found.setdefault(str(job), set()).add(str(user))
    return found


def forget(engine: "Engine", names: Names) -> int:
    """Put `erased` in the place of these names, and delete the answers that were kept for them; how many rows.

    Answers go, too, that were kept before it was noted for whom: any of them may be theirs, and another call makes them
    again. What accounts used of their limits, and all totals of days and months, stay as they are. Then `wipe` them.

    Raises:
        StoreFailed: they cannot be written.
    """
    from sqlalchemy.exc import SQLAlchemyError

    try:
        return sum(_forgotten(engine, piece) for piece in names.pieces())
    except SQLAlchemyError as error:
        raise _failed(error) from error


def _forgotten(engine: "Engine", names: Names) -> int:
    """Some names, in one transaction."""
    from sqlalchemy import or_, select

    from blocks.accounts.schema import CACHE, CALLS, OWNERS, SUMMED, TOTALS

    with engine.begin() as connection:
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        changed = connection.execute(
            CALLS.update().where(_named(CALLS, names)).values(**_blanked(CALLS, names))
        ).rowcount
        changed += _merged(connection, SUMMED, names) + _merged(connection, TOTALS, names)
        keys = select(OWNERS.c.key).where(_named(OWNERS, names))
        nobodys = CACHE.c.key.not_in(select(OWNERS.c.key))
        changed += connection.execute(CACHE.delete().where(or_(CACHE.c.key.in_(keys), nobodys))).rowcount
        connection.execute(OWNERS.delete().where(_named(OWNERS, names)))
    return changed


def wipe(engine: "Engine") -> None:
    """Have nothing of what was forgotten left in the database's own files.

    Raises:
        StoreFailed: traces are left, since another process reads; again is no fault.
    """
    from sqlalchemy.exc import SQLAlchemyError

    try:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            if connection.dialect.name == "postgresql":
                connection.exec_driver_sql("VACUUM c500_calls, c500_summed, c500_totals, c500_cache, c500_cache_owners")
                return
            connection.exec_driver_sql("VACUUM")
            is_read = connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").scalar()
    except SQLAlchemyError as error:
        raise _failed(error) from error
    if is_read:
        raise StoreFailed(
            "another process reads the books: traces of what was erased are left in their log",
            fix="erase again when it has ended: it goes on",
        )


def _failed(error: Exception) -> StoreFailed:
    told = getattr(error, "orig", None) or error
    return StoreFailed(f"the books cannot be changed: {told}", fix="look after the database of BOOKS_URL")


def _merged(connection: "Connection", table: "Table", names: Names) -> int:
    """Move sums under `erased`, adding to those that are there."""
    from sqlalchemy import select

    from blocks.accounts.schema import upsert

    keys = [column.name for column in table.primary_key]
    rows = [dict(row._mapping) for row in connection.execute(select(table).where(_named(table, names)))]  # pyright: ignore[reportPrivateUsage]
    if not rows:
        return 0
    connection.execute(table.delete().where(_named(table, names)))
    for row in rows:
        statement = upsert(connection, table).values(**_without(row, names))
        added = {name: table.c[name] + statement.excluded[name] for name in SUMS}
        connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=added))
    return len(rows)


def _without(row: dict[str, Any], names: Names) -> dict[str, Any]:
    """A row without the names; of a person's row, what it was for goes, too."""
    if row["user"] in names.users or row.get("session") in names.sessions:
        return row | {name: NOBODY for name in ("user", "session", "job") if row.get(name)}
    return row | {"job": NOBODY}


def _blanked(table: "Table", names: Names) -> dict[str, Any]:
    """The same as `_without`, in SQL."""
    from sqlalchemy import and_, case, or_

    of_person = or_(table.c.user.in_(names.users), table.c.session.in_(names.sessions))
    return {
        "user": case((of_person, NOBODY), else_=table.c.user),
        "session": case((and_(of_person, table.c.session != ""), NOBODY), else_=table.c.session),
        "job": case((table.c.job != "", NOBODY), else_=table.c.job),
    }


def _named(table: "Table", names: Names) -> "ColumnElement[bool]":
    from sqlalchemy import or_

    columns = {"user": names.users, "session": names.sessions, "job": names.jobs}
    return or_(*(table.c[column].in_(wanted) for column, wanted in columns.items() if column in table.c))


def _tables() -> "tuple[Table, ...]":
    from blocks.accounts.schema import CALLS, SUMMED, TOTALS

    return CALLS, SUMMED, TOTALS
