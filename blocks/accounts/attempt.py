"""One call on its way: what was tried, and how much time is left."""

import time
from dataclasses import dataclass, field

from blocks.accounts.chat import Caller
from blocks.accounts.failure import Failure
from blocks.accounts.routes import Route


@dataclass
class Attempt:
    """The state of one call while it is tried.

    Attributes:
        caller: For whom.
        began: When it came, monotonic seconds.
        sent: How often it was sent.
        waited_s: How long it waited for limits, in seconds.
        failures: What went wrong, by route.
    """

    caller: Caller
    began: float = field(default_factory=time.monotonic)
    sent: int = 0
    waited_s: float = 0.0
    failures: list[tuple[Route, Failure]] = field(default_factory=list[tuple[Route, Failure]])

    @property
    def left_s(self) -> float:
        """Seconds until the deadline; infinite without one."""
        if self.caller.deadline_s is None:
            return float("inf")
        return max(0.0, self.began + self.caller.deadline_s - time.monotonic())

    @property
    def timeout_s(self) -> float | None:
        """Seconds until the deadline, as `asyncio.timeout` takes them."""
        return None if self.caller.deadline_s is None else self.left_s

    @property
    def told(self) -> list[str]:
        """What went wrong, for people."""
        return [f"{route.key}: {failure}" for route, failure in self.failures]
