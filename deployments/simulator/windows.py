"""All windows of one owner, an account or one of its models: what is in the way of a call, and what it uses."""

from collections.abc import Iterator
from typing import Any

from blocks.accounts.account import Quota
from deployments.simulator.asked import Limited, Standing
from deployments.simulator.clock import NS, Clock
from deployments.simulator.sliding import DayCount, Running, SlidingLog

CONCURRENCY_WAIT_S = 1.0
"""Nobody knows when a running call ends; providers that limit concurrency say a second."""


class Windows:
    """The windows.

    Args:
        quota: The limits; money is no business of the provider's.
        clock: What the windows run by.
        window_s: Length of the minute, in seconds.
        day_s: Length of the day, in seconds.
        offset_s: When the day begins, in seconds east of UTC.
        model: The owner, when it is a model.
    """

    def __init__(
        self, quota: Quota, clock: Clock, window_s: float, day_s: float, offset_s: float, model: str | None = None
    ) -> None:
        self.model = model
        self._clock = clock
        self.rpm = SlidingLog(quota.rpm, int(window_s * NS))
        self.tpm = SlidingLog(quota.tpm, int(window_s * NS))
        self.rpd = DayCount(quota.rpd, day_s, offset_s)
        self.tpd = DayCount(quota.tpd, day_s, offset_s)
        self.concurrency = Running(quota.concurrency)

    def set(self, quota: Quota, window_s: float, day_s: float) -> None:
        """Let other limits and lengths be in force from now on; what was used stays used."""
        for window in (self.rpm, self.tpm):
            window.window_ns = int(window_s * NS)
        for day in (self.rpd, self.tpd):
            day.day_s = day_s
        for name, window in self._named():
            window.limit = getattr(quota, name)

    def in_the_way(self, tokens: int) -> list[Limited]:
        """The limits that a call of so many tokens would pass now."""
        found: list[Limited] = []
        if self.concurrency.is_full:
            found.append(self._limited("concurrency", self.concurrency.now, 1, int(CONCURRENCY_WAIT_S * NS)))
        now_ns = self._clock.now_ns()
        for name, log, amount in (("rpm", self.rpm, 1), ("tpm", self.tpm, tokens)):
            if (wait_ns := log.wait_ns(now_ns, amount)) != 0:
                found.append(self._limited(name, log.used(now_ns), amount, wait_ns))
        if self.rpd.limit is None and self.tpd.limit is None:
            return found
        wall_s = self._clock.wall_s()
        for name, day, amount in (("rpd", self.rpd, 1), ("tpd", self.tpd, tokens)):
            if (wait_ns := day.wait_ns(wall_s, amount)) != 0:
                found.append(self._limited(name, day.used(wall_s), amount, wait_ns))
        return found

    def begin(self) -> None:
        """A call begins."""
        self.concurrency.begin()
        self.rpm.add(self._clock.now_ns(), 1)
        self.rpd.add(self._clock.wall_s(), 1)

    def use(self, tokens: int) -> None:
        """Tokens count from now on."""
        self.tpm.add(self._clock.now_ns(), tokens)
        self.tpd.add(self._clock.wall_s(), tokens)

    def standing(self, kind: str) -> Standing | None:
        """How the limit of `requests` or `tokens` stands: that of the minute, else that of the day."""
        log, day = (self.rpm, self.rpd) if kind == "requests" else (self.tpm, self.tpd)
        if log.limit is not None:
            now_ns = self._clock.now_ns()
            left = max(0, log.limit - log.used(now_ns))
            return Standing(limit=log.limit, remaining=left, reset_s=log.empty_in_ns(now_ns) / NS)
        if day.limit is not None:
            wall_s = self._clock.wall_s()
            left = max(0, day.limit - day.used(wall_s))
            return Standing(limit=day.limit, remaining=left, reset_s=day.empty_in_ns(wall_s) / NS)
        return None

    def count_too_many(self, window: str) -> None:
        """Count a call that would have passed a limit."""
        getattr(self, window).too_many += 1

    def told(self) -> dict[str, Any]:
        """As JSON: limit, fullest it ever was, and calls that would have passed it."""
        return {
            name: {"limit": window.limit, "peak": window.peak, "too_many": window.too_many}
            for name, window in self._named()
        }

    def _named(self) -> Iterator[tuple[str, SlidingLog | DayCount | Running]]:
        for name in ("rpm", "tpm", "rpd", "tpd", "concurrency"):
            yield name, getattr(self, name)

    def _limited(self, window: str, used: int, requested: int, wait_ns: int | None) -> Limited:
        return Limited(
            window=window,
            model=self.model,
            limit=getattr(self, window).limit,
            used=used,
            requested=requested,
            wait_s=None if wait_ns is None else wait_ns / NS,
        )
