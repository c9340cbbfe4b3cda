"""An exact log of all calls, and what it says of limits: slow, simple, and written without a look at the limiter."""

from dataclasses import dataclass

from blocks.limits.limit import Limit, Option
from blocks.limits.window import DRIFT, SLOTS

EXACT = 1e-6
"""Moments that are nearer to each other are the same."""
LATE = 1 + DRIFT + 1 / SLOTS
"""What was used leaves a window at most so much later, in parts of the window."""


@dataclass
class Call:
    """One granted call.

    Attributes:
        option: What was granted.
        at: When.
        lease_end: When its lease ends.
        settled_at: When it was settled, None before.
        released: Whether it was never sent.
        used: By key, when it is settled.
    """

    option: Option
    at: float
    lease_end: float
    settled_at: float | None = None
    released: bool = False
    used: dict[str, int] | None = None

    def charged(self, key: str) -> int:
        """What was reserved of a limit."""
        return next((charge.amount for charge in self.option.charges if charge.limit.key == key), 0)

    def ended(self, now: float) -> float | None:
        """When its server can have seen it last; None while it runs."""
        if self.settled_at is not None:
            return self.settled_at
        return self.lease_end if self.lease_end <= now else None

    def amount(self, key: str) -> int:
        """What it used, as far as anybody knows."""
        return self.charged(key) if self.used is None else self.used[key]


class Oracle:
    """The log."""

    def __init__(self) -> None:
        self.calls: list[Call] = []

    def check_granted(self, option: Option, now: float) -> None:
        """No limit is passed, whenever its server saw the calls, now that this one is in the log."""
        for charge in option.charges:
            limit = charge.limit
            used = sum(self._at_most(call, limit, now) for call in self.calls)
            assert used <= limit.amount, f"{limit.key}: {used} of {limit.amount} at {now}"

    def check_refused(self, options: list[Option], now: float) -> None:
        """Every option had a limit in its way, but for rounding."""
        for option in options:
            tight = [
                charge
                for charge in option.charges
                if sum(self._at_least(call, charge.limit, now) for call in self.calls) + charge.amount
                > charge.limit.amount
            ]
            assert tight, f"{option.name} was free at {now}"

    def _at_most(self, call: Call, limit: Limit, now: float) -> int:
        """What a call may add to the window, however it reached its server."""
        if call.released or not call.charged(limit.key):
            return 0
        end = call.ended(now)
        if end is None:
            return call.charged(limit.key)
        if limit.kind == "concurrency":
            return 0
        if limit.kind == "rate":
            return call.amount(limit.key) if end + limit.window_s > now + EXACT else 0
        return call.amount(limit.key) if _hour(end) == _hour(now) else 0

    def _at_least(self, call: Call, limit: Limit, now: float) -> int:
        """What the limiter may count of a call: longer by the rounding, and again when it was settled late."""
        if call.released or not call.charged(limit.key):
            return 0
        end = call.ended(now)
        if end is None:
            return call.charged(limit.key)
        late = call.settled_at is not None and call.lease_end <= call.settled_at
        moments = [(end, call.amount(limit.key))] + ([(call.lease_end, call.charged(limit.key))] if late else [])
        if limit.kind == "concurrency":
            return 0
        if limit.kind == "rate":
            return sum(amount for moment, amount in moments if moment + LATE * limit.window_s > now - EXACT)
        return max(amount for _, amount in moments) if any(_hour(moment) == _hour(now) for moment, _ in moments) else 0


def _hour(moment: float) -> int:
    return int(moment // 3600)
