"""The clock of a simulated provider, which may be wrong and may run at another speed."""

import time

from deployments.simulator.behaviour import Drift

NS = 1_000_000_000


class Clock:
    """Integer nanoseconds, so that windows are exact: no rounding lets a request in a moment too early."""

    def __init__(self, drift: Drift) -> None:
        self._drift = drift
        self._begun_ns = time.monotonic_ns()
        self._began_at_ns = self._begun_ns
        self._wall_minus_ns = time.time_ns() - self._begun_ns

    def now_ns(self) -> int:
        """A moment of the clock that windows run by; it never goes back."""
        if self._drift.speed == 1:
            return self._began_at_ns + time.monotonic_ns() - self._begun_ns
        return self._began_at_ns + int((time.monotonic_ns() - self._begun_ns) * self._drift.speed)

    def wall_s(self) -> float:
        """Seconds since 1970 as the provider believes, for `Date`, days, and the ends of windows."""
        return (self.now_ns() + self._wall_minus_ns) / NS + self._drift.offset_s

    @property
    def is_right(self) -> bool:
        """Whether it neither is off nor runs at another speed."""
        return self._drift == Drift()

    def set(self, drift: Drift) -> None:
        """Let it drift so from now on; `now_ns` goes on from where it is."""
        self._began_at_ns, self._begun_ns = self.now_ns(), time.monotonic_ns()
        self._drift = drift
