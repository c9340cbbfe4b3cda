"""What a pool has under way, and whether any account answers."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from time import monotonic

from blocks.accounts.failure import Failure

LONGEST_TOLD = 200
"""Characters of what one account said last."""


@dataclass
class Traffic:
    """The calls of one pool as a whole.

    An outage begins when a call finds no account that works, and ends with the next answer. Accounts whose limits are
    used up work, and so do those whose provider asks for patience: for these a call waits.

    Attributes:
        clock: Seconds that never go back.
        in_flight: Calls that were sent whole and have not ended; callers that wait are none of them.
    """

    clock: Callable[[], float] = monotonic
    in_flight: int = 0
    _faults: Mapping[str, Failure] = field(default_factory=dict[str, Failure])
    _since: float | None = None

    def looked(self, faults: Mapping[str, Failure]) -> None:
        """A call looked for an account.

        Args:
            faults: By route, why each of those that it may take does not work; empty when one does.
        """
        self._faults = faults
        if faults and self._since is None:
            self._since = self.clock()

    def answered(self) -> None:
        """A call was answered."""
        self._faults, self._since = {}, None

    @property
    def outage_s(self) -> float:
        """Seconds since a call first found no account that works, when none was answered since; 0 when one works."""
        return self.clock() - self._since if self._faults and self._since is not None else 0.0

    @property
    def accounts(self) -> list[str]:
        """The accounts that do not work, in an outage."""
        return sorted({route.partition("/")[0] for route in self._faults})

    @property
    def told(self) -> str:
        """What is wrong with each account, in an outage: those with the same fault together."""
        routes: dict[str, list[str]] = defaultdict(list)
        for route, fault in self._faults.items():
            routes[str(fault)[:LONGEST_TOLD]].append(route)
        return "; ".join(f"{', '.join(sorted(named))} {fault}" for fault, named in routes.items())
