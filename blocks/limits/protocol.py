"""What every limiter does, wherever it keeps its books."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

from blocks.limits.limit import Limit, Option, Refusal, Reservation, Standing

LEASE_S = 120.0
"""How long a reservation stands without a sign of its holder. What a dead holder reserved counts as used."""


Reseed = Callable[[Sequence[Limit]], Awaitable[Mapping[str, int]]]
"""Says what was used of `calendar` limits in their present period, by key, from books that outlive the limiter's."""


class Limiter(Protocol):
    """Grants calls so that no window is ever passed: reserve, call, settle.

    A reservation counts in full from before the call until it is settled; what was used counts from the settling on,
    when the call is over. So whatever time a call takes to reach the server, no window at the server is passed.

    Everything raises `EngineUnavailable` when the books cannot be reached: then nothing is granted. A `settle` or
    `release` that raised may be tried again; left alone, the lease ends and all of it counts as used.
    """

    async def reserve(
        self, options: Sequence[Option], *, lease_s: float = LEASE_S, in_order: bool = False
    ) -> Reservation | Refusal:
        """Take the option with the most headroom that all its limits allow, now or not at all.

        Headroom is the least free share of its limits after the call; equal twentieths go by the order given.

        Args:
            options: Ways to make the call, the preferred first.
            lease_s: How long it stands without `extend`, in seconds.
            in_order: Take the first that is free instead.
        """
        ...

    async def settle(self, reservation: Reservation, used: Mapping[str, int] | None = None) -> None:
        """The call is over.

        Args:
            reservation: What was granted.
            used: What was used, by key; the reserved amount where it says nothing.
        """
        ...

    async def release(self, reservation: Reservation) -> None:
        """The call was never sent: nothing was used. After the end of its lease, it counts as used all the same."""
        ...

    async def extend(self, reservation: Reservation, lease_s: float = LEASE_S) -> None:
        """The call still runs: the lease ends so long from now. One that ended stays ended.

        Whoever calls for longer than a third of the lease does this once in that time.
        """
        ...

    async def block(self, key: str, seconds: float) -> None:
        """Grant nothing of a limit for so long, as a server asked with `Retry-After`; a longer block stands."""
        ...

    async def learn(self, limit: Limit, *, amount: int | None = None, remaining: int | None = None) -> None:
        """What a server said of a limit in its headers.

        Args:
            limit: Which.
            amount: The most there may be; it stands instead of the configured one from now on.
            remaining: What is left. What we did not use ourselves, others have: it counts as used now.
        """
        ...

    async def standing(self, limits: Sequence[Limit]) -> list[Standing]:
        """How limits stand, in order."""
        ...

    async def close(self) -> None:
        """Let go of connections and files."""
        ...
