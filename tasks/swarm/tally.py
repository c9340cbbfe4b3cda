"""How far a swarm is: counted as rows end, looked at while it runs."""

import time
from collections import deque
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field

from blocks.accounts.traffic import Traffic
from tasks.swarm.journal import Record

RECENT_S = 10.0
"""The live rate is that of the last seconds."""

Watcher = Callable[["Tally"], None]

watcher: ContextVar[Watcher | None] = ContextVar("swarm_watcher", default=None)
"""Is told about once a second how far the swarm of this context is."""


@dataclass
class OfAccount:
    """What one account did: rows answered, tokens of both ways, dollars."""

    rows: int = 0
    tokens: int = 0
    cost_usd: float = 0.0


@dataclass
class Tally:
    """The rows of one run.

    Attributes:
        due: Rows to do in this run; 0 before they were counted.
        answered: Rows answered.
        failed: Rows that failed.
        fallbacks: Rows answered by the caller's fallback; among `answered`.
        cut: Texts that ended at the most tokens allowed; among `answered`.
        begun: Rows that were begun and have not ended: in flight, or waiting for an account.
        traffic: Of the pool that answers.
        is_spread: Whether shards in other processes do the rows: then nothing is begun or in flight here.
        cost_usd: Of all rows that ended, their failed tries included, and of those that were broken off.
        unpriced: Rows of models without a known price; their cost is missing in `cost_usd`.
        accounts: By account, of the answer that counted.
        streak: Tries that nobody understood, or that met a fault of ours, since the last answer of any row.
        faults: Tries that failed for the accounts' sake since then.
    """

    due: int = 0
    answered: int = 0
    failed: int = 0
    fallbacks: int = 0
    cut: int = 0
    begun: int = 0
    traffic: Traffic = field(default_factory=Traffic)
    is_spread: bool = False
    cost_usd: float = 0.0
    unpriced: int = 0
    accounts: dict[str, OfAccount] = field(default_factory=dict[str, OfAccount])
    streak: int = 0
    faults: int = 0
    _faulty_since: float = 0.0
    began: float = field(default_factory=time.monotonic)
    _last_end: float | None = None
    _recent: deque[tuple[float, int]] = field(default_factory=deque[tuple[float, int]])

    @property
    def ended(self) -> int:
        """Rows that are done, either way."""
        return self.answered + self.failed

    @property
    def elapsed_s(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self.began

    @property
    def share(self) -> float:
        """Share of the rows that ended."""
        return self.ended / self.due if self.due else 0.0

    @property
    def silent_s(self) -> float:
        """Seconds since a row ended, or since it began."""
        return time.monotonic() - (self._last_end or self.began)

    @property
    def faulty_s(self) -> float:
        """Seconds since the first of `faults`."""
        return time.monotonic() - self._faulty_since if self.faults else 0.0

    def fault(self) -> None:
        """A try failed for the accounts' sake."""
        if not self.faults:
            self._faulty_since = time.monotonic()
        self.faults += 1

    def worked(self) -> None:
        """A row was answered."""
        self.streak = self.faults = 0

    def rate_per_s(self) -> float:
        """Rows a second, of late; to be asked about once a second."""
        now = time.monotonic()
        self._recent.append((now, self.ended))
        while len(self._recent) > 2 and self._recent[1][0] < now - RECENT_S:
            self._recent.popleft()
        since, ended = self._recent[0]
        return (self.ended - ended) / (now - since) if now > since else 0.0

    def add(self, record: Record, *, is_answer: bool) -> None:
        """Count a row by its line."""
        cost_usd: float = record["cost_usd"] or 0.0
        self._last_end = time.monotonic()
        self.cost_usd += cost_usd
        self.unpriced += record["cost_usd"] is None
        if not is_answer:
            self.failed += 1
            return
        self.answered += 1
        self.fallbacks += record["source"] == "fallback"
        self.cut += record["finish_reason"] == "length"
        own = self.accounts.setdefault(record["account"], OfAccount())
        own.rows += 1
        own.tokens += record["tokens"]["prompt"] + record["tokens"]["completion"]
        own.cost_usd += cost_usd
