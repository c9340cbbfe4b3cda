"""Old rows of the books summed up by day: who paid for what stays known, and no row for each call is kept."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from blocks.accounts.books import SUMS, day_of
from blocks.model import Frozen

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Engine

DAY_S = 86_400
LEAST_DAYS = 35
"""Limits count calls within a month, and of the first day of that by the calls themselves."""

KEYS = ("account", "model", "user", "session", "job", "outcome", "priced", "is_estimate")
EDGE_S = 120.0
"""Rows are written up to a minute after the call ended."""


class LedgerDue(Frozen):
    """Rows that are old enough to be summed up.

    Attributes:
        days: By day, how many rows.
        held: Rows as old that stay, since somebody holds them.
    """

    days: dict[str, int]
    held: int = 0

    @property
    def rows(self) -> int:
        """All of them."""
        return sum(self.days.values())


class Held(Frozen):
    """Whose rows stay as they are.

    Attributes:
        users, sessions, jobs: Names, as the books have them.
    """

    users: tuple[str, ...] = ()
    sessions: tuple[str, ...] = ()
    jobs: tuple[str, ...] = ()


def ledger_due(engine: "Engine", before: float, held: Held) -> LedgerDue:
    """What `sum_up` would sum up.

    Args:
        engine: Of the books.
        before: Calls that ended earlier, in seconds since 1970; only whole days are summed up.
        held: Whose rows stay.
    """
    from sqlalchemy import func, not_, select

    from blocks.accounts.schema import CALLS

    midnight = before // DAY_S * DAY_S
    day: Any = func.floor(CALLS.c.at / DAY_S) if engine.dialect.name == "postgresql" else _whole(CALLS.c.at / DAY_S)
    is_held = _is_held(held)
    with engine.connect() as connection:
        number = connection.execute(
            select(func.count()).select_from(CALLS).where(CALLS.c.at < midnight, is_held)
        ).scalar_one()
        rows = connection.execute(
            select(day, func.count())
            .where(CALLS.c.at < midnight, not_(is_held), _not_last())
            .group_by(day)
            .order_by(day)
        ).all()
    return LedgerDue(days={day_of(int(one) * DAY_S): int(count) for one, count in rows}, held=int(number))


def sum_up(engine: "Engine", before: float, held: Held, check: Callable[[], None] = lambda: None) -> int:
    """Sum rows up day by day, the oldest first, each day in one transaction: killed anywhere, none counts twice or not.

    Totals by day, month, account, user, session and job are the same as before; what is lost is the single call, its
    minute and its latency.

    Args:
        engine: Of the books.
        before, held: As `ledger_due` takes them.
        check: Called before each day; what it raises ends the work.

    Returns:
        So many rows went.
    """
    gone = 0
    for day in ledger_due(engine, before, held).days:
        check()
        gone += _sum_up_day(engine, day, held)
    return gone


def _sum_up_day(engine: "Engine", day: str, held: Held) -> int:
    from calendar import timegm
    from time import strptime

    from sqlalchemy import Float, func, literal, not_, select

    from blocks.accounts.schema import CALLS, SUMMED, upsert

    midnight = float(timegm(strptime(day, "%Y-%m-%d")))
    due = (CALLS.c.at >= midnight, CALLS.c.at < midnight + DAY_S, not_(_is_held(held)), _not_last())
    keys = [CALLS.c[name] for name in KEYS]
    sums = [func.count(), *(func.sum(CALLS.c[name]) for name in SUMS[1:])]
    with engine.begin() as connection:
        if connection.dialect.name == "sqlite":
            # The write lock before anything is read; Python's driver begins only at an INSERT.
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        # By the highest number that is there now: a row that comes in between is left for the next time.
        top = connection.execute(select(func.max(CALLS.c.id)).where(*due)).scalar()
        if top is None:
            return 0
        due = (*due, CALLS.c.id <= top)
        summed: Any = select(literal(midnight, Float()), *keys, *sums).where(*due).group_by(*keys)
        statement = upsert(connection, SUMMED).from_select(["at", *KEYS, *SUMS], summed)
        added = {name: SUMMED.c[name] + statement.excluded[name] for name in SUMS}
        connection.execute(statement.on_conflict_do_update(index_elements=["at", *KEYS], set_=added))
        return connection.execute(CALLS.delete().where(*due)).rowcount


def _not_last() -> "ColumnElement[bool]":
    """Not the latest row of all: SQLite would give its number again, and counters go by numbers."""
    from sqlalchemy import func, select

    from blocks.accounts.schema import CALLS

    others = CALLS.alias()
    return CALLS.c.id < select(func.max(others.c.id)).scalar_subquery()


def _is_held(held: Held) -> "ColumnElement[bool]":
    from sqlalchemy import or_

    from blocks.accounts.schema import CALLS

    return or_(CALLS.c.user.in_(held.users), CALLS.c.session.in_(held.sessions), CALLS.c.job.in_(held.jobs))


def _whole(value: Any) -> Any:
    from sqlalchemy import Integer, cast

    return cast(value, Integer)
