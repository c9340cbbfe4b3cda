"""Circuit breakers: an account that fails gets no calls for a while, then one to see whether it has recovered."""

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Literal

FAILURES = 5
"""So many failures in a row open it."""

FIRST_REST_S = 2.0
LONGEST_REST_S = 60.0
"""How long it stays open at first, and at most: each probe that fails doubles it."""

PROBE_S = 120.0
"""A probe that never came back is forgotten after so long."""

LOOK_S = 0.25
"""While a probe runs: nobody knows when it ends, so look again soon."""

State = Literal["closed", "open", "half-open"]


@dataclass
class Breaker:
    """Of one account and model, within one process.

    Attributes:
        clock: Seconds that never go back.
    """

    clock: Callable[[], float] = monotonic
    _failures: int = 0
    _rest_s: float = FIRST_REST_S
    _open_until: float | None = None
    _probe_until: float = 0.0

    @property
    def state(self) -> State:
        """`closed` lets all through, `open` none, `half-open` one."""
        if self._open_until is None:
            return "closed"
        return "open" if self.clock() < self._open_until else "half-open"

    @property
    def wait_s(self) -> float:
        """Seconds until it may let a call through; 0 when one may pass now. Take `begin` when it does."""
        now = self.clock()
        if self._open_until is None:
            return 0.0
        return max(0.0, self._open_until - now, min(LOOK_S, self._probe_until - now))

    def begin(self) -> None:
        """A call passes; of a half-open breaker it is the probe."""
        if self.state == "half-open":
            self._probe_until = self.clock() + PROBE_S

    def succeed(self) -> None:
        """A call came back well: close."""
        self._failures, self._rest_s, self._open_until, self._probe_until = 0, FIRST_REST_S, None, 0.0

    def fail(self) -> None:
        """A call failed."""
        self._failures += 1
        probed = self.state == "half-open"
        if probed:
            self._rest_s = min(LONGEST_REST_S, 2 * self._rest_s)
        if probed or (self._open_until is None and self._failures >= FAILURES):
            self._open_until, self._probe_until = self.clock() + self._rest_s, 0.0

    def give_up(self) -> None:
        """A call ended without telling anything of the account's health."""
        self._probe_until = 0.0
