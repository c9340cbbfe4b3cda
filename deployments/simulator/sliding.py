"""Exact windows, the referee of every limiter: each use is kept until the moment it leaves the window.

Nothing here is shared with `blocks.limits`, on purpose: a mistake there must show here.
"""

from collections import deque

from deployments.simulator.clock import NS


class SlidingLog:
    """What was used within the last `window_ns`: a use counts as long as its age is less than the window.

    Args:
        limit: The most there may be; None only counts.
        window_ns: Length of the window in nanoseconds.
    """

    def __init__(self, limit: int | None, window_ns: int) -> None:
        self.limit = limit
        self.window_ns = window_ns
        self.peak = 0
        self.too_many = 0
        self._uses: deque[tuple[int, int]] = deque()
        self._sum = 0

    def used(self, now_ns: int) -> int:
        """The sum within the window that ends now."""
        uses, oldest = self._uses, now_ns - self.window_ns
        while uses and uses[0][0] <= oldest:
            self._sum -= uses.popleft()[1]
        return self._sum

    def add(self, now_ns: int, amount: int) -> None:
        """Count a use. The peak is exact: a window is fullest at a moment something is added to it."""
        if amount == 0:
            return
        self._sum = self.used(now_ns) + amount
        self._uses.append((now_ns, amount))
        self.peak = max(self.peak, self._sum)

    def wait_ns(self, now_ns: int, amount: int) -> int | None:
        """Nanoseconds until so much more fits: 0 when it does, None when it never will."""
        if self.limit is None:
            return 0
        over = self.used(now_ns) + amount - self.limit
        if over <= 0:
            return 0
        for at_ns, used in self._uses:
            over -= used
            if over <= 0:
                return at_ns + self.window_ns - now_ns
        return None

    def empty_in_ns(self, now_ns: int) -> int:
        """Nanoseconds until nothing is left in the window."""
        self.used(now_ns)
        return self._uses[-1][0] + self.window_ns - now_ns if self._uses else 0


class DayCount:
    """What was used in a day that begins for all at the same moment.

    Args:
        limit: The most there may be; None only counts.
        day_s: Length of a day in seconds.
        offset_s: When it begins, in seconds east of UTC.
    """

    def __init__(self, limit: int | None, day_s: float, offset_s: float) -> None:
        self.limit = limit
        self.day_s = day_s
        self.offset_s = offset_s
        self.peak = 0
        self.too_many = 0
        self._day = 0
        self._sum = 0

    def used(self, wall_s: float) -> int:
        """The sum of the day."""
        day = int((wall_s + self.offset_s) // self.day_s)
        if day != self._day:
            self._day, self._sum = day, 0
        return self._sum

    def add(self, wall_s: float, amount: int) -> None:
        """Count a use."""
        self._sum = self.used(wall_s) + amount
        self.peak = max(self.peak, self._sum)

    def wait_ns(self, wall_s: float, amount: int) -> int | None:
        """Nanoseconds until so much more fits: 0 when it does, None when it never will."""
        if self.limit is None or self.used(wall_s) + amount <= self.limit:
            return 0
        return None if amount > self.limit else self.empty_in_ns(wall_s)

    def empty_in_ns(self, wall_s: float) -> int:
        """Nanoseconds until the next day."""
        return int((self.day_s - (wall_s + self.offset_s) % self.day_s) * NS)


class Running:
    """Calls at the same time.

    Args:
        limit: The most there may be; None only counts.
    """

    def __init__(self, limit: int | None) -> None:
        self.limit = limit
        self.peak = 0
        self.too_many = 0
        self.now = 0

    @property
    def is_full(self) -> bool:
        """Whether no call more may run."""
        return self.limit is not None and self.now >= self.limit

    def begin(self) -> None:
        """A call begins."""
        self.now += 1
        self.peak = max(self.peak, self.now)

    def end(self) -> None:
        """A call ends."""
        self.now -= 1
