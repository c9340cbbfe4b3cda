"""The books of one limit: what calls hold, what was used, and when it is forgotten. Pure; `redis.lua` is its twin."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

from blocks.limits.limit import Limit, Period

SLOTS = 100
"""A rate window is kept in so many slots, each forgotten as a whole: at most this part of it is lost to rounding."""

DRIFT = 0.001
"""By this part a window is kept longer, for servers whose clock runs faster than ours. NTP corrects by up to 0.0005."""

POLL_S = 0.25
"""When only calls that run are in the way: nobody knows when they end."""

NEVER = float("inf")

PERIOD_S: dict[Period, float] = {"hour": 3600, "day": 86_400, "month": 31 * 86_400, "ever": NEVER}
"""The longest a period is."""


@dataclass(slots=True)
class Window:
    """What a limit's books hold.

    Attributes:
        slots: Used, by slot, of a `rate` limit.
        settled: All that was used.
        held: Reserved: amount and end of the lease, by reservation.
        holding: Sum of what is held.
        period: When the period began that the books are of, of a `calendar` limit; see `Phase`.
        learned: The most there may be, as a server said.
        blocked_until: Nothing is granted before.
        due: Nothing in the books ends before.
        lasts: From then on they are as good as new ones.
        changes: How often they were changed since they were read.
    """

    slots: dict[int, int] = field(default_factory=dict[int, int])
    settled: int = 0
    held: dict[str, tuple[int, float]] = field(default_factory=dict[str, tuple[int, float]])
    holding: int = 0
    period: int = 0
    learned: int | None = None
    blocked_until: float = 0.0
    due: float = NEVER
    lasts: float = 0.0
    changes: int = 0


class Phase(NamedTuple):
    """Where in its period a moment lies.

    Attributes:
        start: When the period began, in seconds since 1970 of its own local time.
        since_s: Seconds since then.
        left_s: Seconds left of it.
    """

    start: int
    since_s: float
    left_s: float


ENDLESS = Phase(0, NEVER, NEVER)
"""Of what has no periods."""


def roll(window: Window, limit: Limit, now: float, phase: Phase) -> None:
    """Bring the books up to this moment: forget what left the window, count dead holders as used.

    Args:
        window: The books.
        limit: Whose they are.
        now: Seconds of a clock that all who use them share and that never goes back.
        phase: `phase_of` this moment.
    """
    if limit.kind == "calendar" and phase.start > window.period:
        began = now - phase.since_s
        for reservation_id in [name for name, (_, until) in window.held.items() if until <= began]:
            let_go(window, reservation_id)  # used, but in the period before
        window.settled, window.period = 0, phase.start
        window.changes += 1
    if now < window.due:
        return
    window.changes += 1
    for reservation_id in [name for name, (_, until) in window.held.items() if until <= now]:
        amount, until = window.held.pop(reservation_id)
        window.holding -= amount
        use(window, limit, until, amount)
    for slot in [slot for slot in window.slots if _leaves(slot, limit) <= now]:
        window.settled -= window.slots.pop(slot)
    ends = [until for _, until in window.held.values()]
    window.due = min(ends + [_leaves(slot, limit) for slot in window.slots], default=NEVER)


def hold(window: Window, limit: Limit, reservation_id: str, amount: int, until: float) -> None:
    """Keep so much for a call until its lease ends."""
    window.held[reservation_id] = (amount, until)
    window.holding += amount
    _ends(window, until, until + keep_s(limit))


def let_go(window: Window, reservation_id: str) -> bool:
    """Hold it no longer; False if it is not held."""
    held = window.held.pop(reservation_id, None)
    if held is None:
        return False
    window.holding -= held[0]
    window.changes += 1
    return True


def use(window: Window, limit: Limit, at: float, amount: int) -> None:
    """Count as used. Concurrency is held only while a call runs."""
    if limit.kind == "concurrency" or amount == 0:
        return
    window.settled += amount
    if limit.kind == "calendar":
        _ends(window, NEVER, at + keep_s(limit))
        return
    slot = int(at / (limit.window_s / SLOTS))
    window.slots[slot] = window.slots.get(slot, 0) + amount
    leaves = _leaves(slot, limit)
    _ends(window, leaves, leaves)


def shut(window: Window, until: float) -> None:
    """Grant nothing before; a longer block stands."""
    window.blocked_until = max(window.blocked_until, until)
    _ends(window, NEVER, until)


def keep_s(limit: Limit) -> float:
    """For how long something that was held or used may matter, in seconds."""
    if limit.kind == "calendar":
        return PERIOD_S[limit.period]
    return 2 * limit.window_s if limit.kind == "rate" else 0.0


def most(window: Window, limit: Limit) -> int:
    """The most there may be."""
    return limit.amount if window.learned is None else window.learned


def wait_s(window: Window, limit: Limit, amount: int, now: float, left_s: float) -> float | None:
    """Seconds until so much may be free: 0 when it is, None when it never will be.

    Args:
        window: The books, rolled.
        limit: Whose they are.
        amount: What is asked for.
        now: As in `roll`.
        left_s: Seconds left of the period.
    """
    there = most(window, limit)
    if amount > there:
        return None
    blocked_s = window.blocked_until - now if window.blocked_until > now else 0.0
    over = window.settled + window.holding + amount - there
    if over <= 0:
        return blocked_s
    if window.settled + amount <= there:  # only calls that run are in the way, and most use less than they hold
        return max(blocked_s, POLL_S)
    if limit.kind == "calendar" and window.holding + amount <= there:
        return max(blocked_s, left_s) if left_s < NEVER else None
    for slot in sorted(window.slots):
        over -= window.slots[slot]
        if over <= 0:
            return max(blocked_s, _leaves(slot, limit) - now)
    return max(blocked_s, POLL_S)


def headroom(window: Window, limit: Limit, amount: int, now: float) -> float | None:
    """Share that stays free after such a call, 0 to 1; None when there is no room for it now, as `wait_s` tells."""
    there = limit.amount if window.learned is None else window.learned
    left = there - window.settled - window.holding - amount
    if left < 0 or window.blocked_until > now:
        return None
    return left / there if there else 0.0


def phase_of(limit: Limit, wall_s: float) -> Phase:
    """Where in its period a moment lies.

    Args:
        limit: Whose periods.
        wall_s: Seconds since 1970, UTC.
    """
    if limit.kind != "calendar" or limit.period == "ever":
        return ENDLESS
    local_s = wall_s + limit.utc_offset_s
    start, end = _bounds(limit.period, int(local_s // 3600))
    return Phase(start, local_s - start, end - local_s)


def _ends(window: Window, due: float, lasts: float) -> None:
    """The books changed: something ends then, and matters so long."""
    # Comparisons: `min` and `max` take three times as long.
    window.changes += 1
    if due < window.due:
        window.due = due
    if lasts > window.lasts:
        window.lasts = lasts


def _leaves(slot: int, limit: Limit) -> float:
    """When a slot leaves the window: its last moment is as old as the window is long."""
    return (slot + 1) * (limit.window_s / SLOTS) + limit.window_s * (1 + DRIFT)


@lru_cache(maxsize=1024)
def _bounds(period: Period, hour: int) -> tuple[int, int]:
    """Begin and end of the period that an hour since 1970 belongs to, in seconds since 1970."""
    start = datetime.fromtimestamp(hour * 3600, UTC)
    if period == "hour":
        return hour * 3600, (hour + 1) * 3600
    start = start.replace(hour=0)
    if period == "day":
        return _epoch_s(start), _epoch_s(start + timedelta(days=1))
    start = start.replace(day=1)
    return _epoch_s(start), _epoch_s((start + timedelta(days=32)).replace(day=1))


def _epoch_s(moment: datetime) -> int:
    return int(moment.timestamp())
