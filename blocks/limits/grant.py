"""Reserve, settle and release over the books of all limits at once. Pure; `redis.lua` is its twin."""

from collections.abc import Mapping, MutableMapping, Sequence

from blocks.limits.limit import Limit, Option, Refusal, Reservation, Standing
from blocks.limits.window import (
    ENDLESS,
    NEVER,
    Window,
    headroom,
    hold,
    let_go,
    most,
    phase_of,
    roll,
    shut,
    use,
    wait_s,
)

Windows = MutableMapping[str, Window]
"""Books by the key of their limit; a missing one is made empty."""

STEPS = 20
"""Headroom is compared in so many steps, so that the callers' own order decides between equals."""


def reserve(
    windows: Windows,
    options: Sequence[Option],
    reservation_id: str,
    now: float,
    wall_s: float,
    lease_s: float,
    *,
    in_order: bool = False,
) -> Option | Refusal:
    """Hold the charges of the best option that is free.

    Args:
        windows: The books; changed only when an option is granted, but for rolling.
        options: As in `Limiter.reserve`.
        reservation_id: Identity of the reservation.
        now: Seconds that never go back.
        wall_s: Seconds since 1970.
        lease_s: As in `Limiter.reserve`.
        in_order: As in `Limiter.reserve`.
    """
    best: Option | None = None
    best_step = -1
    refusals: list[Refusal] = []
    for option in options:
        found = _look(windows, option, now, wall_s)
        if isinstance(found, Refusal):
            refusals.append(found)
        elif int(found * STEPS) > best_step:
            best, best_step = option, int(found * STEPS)
            if in_order:
                break
    if best is None:
        return min(refusals, key=lambda refusal: _or_never(refusal.wait_s), default=Refusal(keys=(), wait_s=None))
    for charge in best.charges:
        hold(windows[charge.limit.key], charge.limit, reservation_id, charge.amount, now + lease_s)
    return best


def settle(windows: Windows, reservation: Reservation, used: Mapping[str, int], now: float, wall_s: float) -> None:
    """Turn what was held into what was used.

    A lease that ended has been counted as used in full: a `calendar` window gets what was used beyond that. A `rate`
    window gets all of it once more, because the call may have reached its server long after the lease.
    """
    for charge in reservation.option.charges:
        limit, window = charge.limit, _rolled(windows, charge.limit, now, wall_s)
        amount = max(0, used.get(limit.key, charge.amount))
        if not let_go(window, reservation.reservation_id) and limit.kind == "calendar":
            amount = max(0, amount - charge.amount)
        use(window, limit, now, amount)


def release(windows: Windows, reservation: Reservation, now: float, wall_s: float) -> None:
    """Give back what is held; what a lease that ended held stays used."""
    for charge in reservation.option.charges:
        let_go(_rolled(windows, charge.limit, now, wall_s), reservation.reservation_id)


def extend(windows: Windows, reservation: Reservation, now: float, wall_s: float, lease_s: float) -> None:
    """Put the end of the lease off; one that ended stays ended."""
    for charge in reservation.option.charges:
        window = _rolled(windows, charge.limit, now, wall_s)
        if reservation.reservation_id in window.held:
            amount, until = window.held[reservation.reservation_id]
            let_go(window, reservation.reservation_id)
            hold(window, charge.limit, reservation.reservation_id, amount, max(until, now + lease_s))


def block(windows: Windows, key: str, seconds: float, now: float) -> None:
    """Grant nothing of a limit for so long."""
    shut(windows[key], now + seconds)


def learn(windows: Windows, limit: Limit, amount: int | None, remaining: int | None, now: float, wall_s: float) -> None:
    """Take over what a server said."""
    window = _rolled(windows, limit, now, wall_s)
    if amount is not None:
        window.learned, window.lasts, window.changes = max(0, amount), NEVER, window.changes + 1
    if remaining is not None:
        use(window, limit, now, max(0, most(window, limit) - remaining - window.settled - window.holding))


def standing(windows: Windows, limit: Limit, now: float, wall_s: float) -> Standing:
    """How a limit stands."""
    window = _rolled(windows, limit, now, wall_s)
    return Standing(
        key=limit.key,
        amount=most(window, limit),
        settled=window.settled,
        held=window.holding,
        blocked_s=max(0.0, window.blocked_until - now),
    )


def _rolled(windows: Windows, limit: Limit, now: float, wall_s: float) -> Window:
    window = windows[limit.key]
    roll(window, limit, now, phase_of(limit, wall_s))
    return window


def _look(windows: Windows, option: Option, now: float, wall_s: float) -> float | Refusal:
    """The headroom of an option that is free, or what is in its way."""
    free = 1.0
    waits: dict[str, float | None] = {}
    for limit, amount in option.charges:
        window, phase = windows[limit.key], phase_of(limit, wall_s) if limit.kind == "calendar" else ENDLESS
        if now >= window.due or phase is not ENDLESS:  # seldom for most
            roll(window, limit, now, phase)
        share = headroom(window, limit, amount, now)
        if share is None:
            if (wait := wait_s(window, limit, amount, now, phase.left_s)) != 0:
                waits[limit.key] = wait
        elif share < free:
            free = share
    if not waits:
        return free
    longest = max(_or_never(wait) for wait in waits.values())
    return Refusal(keys=tuple(waits), wait_s=None if longest == NEVER else longest)


def _or_never(wait: float | None) -> float:
    return NEVER if wait is None else wait
