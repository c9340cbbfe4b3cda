"""The limiter of one process."""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from itertools import count

from blocks.limits import grant
from blocks.limits.limit import Limit, Option, Refusal, Reservation, Standing
from blocks.limits.protocol import LEASE_S
from blocks.limits.window import Window

SWEEP_FROM = 10_000
"""With fewer windows it is not looked which of them nobody needs any more, as those of sessions that ended."""


class MemoryLimiter:
    """Keeps its books in this process; see `Limiter`. What was used before the process began, it does not know.

    Threads may share it, each with an event loop of its own.

    Args:
        clock: Seconds that never go back.
        wall: Seconds since 1970.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, wall: Callable[[], float] = time.time) -> None:
        self._windows: dict[str, Window] = defaultdict(Window)
        self._clock, self._wall = clock, wall
        self._alone = threading.Lock()
        self._numbers = count(1)
        self._sweep_at = SWEEP_FROM

    async def reserve(
        self, options: Sequence[Option], *, lease_s: float = LEASE_S, in_order: bool = False
    ) -> Reservation | Refusal:
        """See `Limiter`."""
        reservation_id = str(next(self._numbers))
        with self._alone:
            now, wall_s = self._clock(), self._wall()
            if len(self._windows) > self._sweep_at:
                self._sweep(now)
            chosen = grant.reserve(self._windows, options, reservation_id, now, wall_s, lease_s, in_order=in_order)
        return chosen if isinstance(chosen, Refusal) else Reservation(reservation_id=reservation_id, option=chosen)

    async def settle(self, reservation: Reservation, used: Mapping[str, int] | None = None) -> None:
        """See `Limiter`."""
        with self._alone:
            grant.settle(self._windows, reservation, used or {}, self._clock(), self._wall())

    async def release(self, reservation: Reservation) -> None:
        """See `Limiter`."""
        with self._alone:
            grant.release(self._windows, reservation, self._clock(), self._wall())

    async def extend(self, reservation: Reservation, lease_s: float = LEASE_S) -> None:
        """See `Limiter`."""
        with self._alone:
            grant.extend(self._windows, reservation, self._clock(), self._wall(), lease_s)

    async def block(self, key: str, seconds: float) -> None:
        """See `Limiter`."""
        with self._alone:
            grant.block(self._windows, key, seconds, self._clock())

    async def learn(self, limit: Limit, *, amount: int | None = None, remaining: int | None = None) -> None:
        """See `Limiter`."""
        with self._alone:
            grant.learn(self._windows, limit, amount, remaining, self._clock(), self._wall())

    async def standing(self, limits: Sequence[Limit]) -> list[Standing]:
        """See `Limiter`."""
        with self._alone:
            return [grant.standing(self._windows, limit, self._clock(), self._wall()) for limit in limits]

    async def close(self) -> None:
        """Nothing to let go of."""

    def _sweep(self, now: float) -> None:
        for key in [key for key, window in self._windows.items() if window.lasts <= now]:
            del self._windows[key]
        self._sweep_at = max(SWEEP_FROM, 2 * len(self._windows))


OF_THIS_PROCESS = MemoryLimiter()
"""The account pool is opened more than once, and its limits go on in between."""
