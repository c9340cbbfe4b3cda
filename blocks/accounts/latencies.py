"""What is a long time for a call: the 95th percentile of the latest ones."""

from collections import deque
from dataclasses import dataclass, field

KEPT = 200
ENOUGH = 20
EVERY = 20


@dataclass
class Latencies:
    """The latest latencies of a model, in seconds."""

    _latest: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT))
    _p95: float | None = None
    _since: int = 0

    def add(self, latency_s: float) -> None:
        """A call took so long."""
        self._latest.append(latency_s)
        self._since += 1

    @property
    def p95_s(self) -> float | None:
        """95 of 100 took no longer; None before enough are known."""
        if len(self._latest) < ENOUGH:
            return None
        if self._p95 is None or self._since >= EVERY:
            self._p95, self._since = sorted(self._latest)[int(0.95 * len(self._latest))], 0
        return self._p95
