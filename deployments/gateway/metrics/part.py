"""A part of C500 as the gateway looks at it for Prometheus: not at each scrape, and never for long."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

import structlog
from prometheus_client.metrics_core import Metric as Family

from deployments.gateway.metrics.families import gauge_family

PATIENCE_S = 2.0
"""A scrape waits so long for the first look."""

SOON_S = 0.3
"""So long for any other; then it tells what was found before."""

HUNG_S = 60.0
"""A look that takes longer counts as failed until it ends."""

REST = 20.0
"""For a part whose looks go through files: so many times as long as one took, none is begun."""

Read = Callable[[], Awaitable[Sequence[Family] | None]]
"""Reads a part; None: there is nothing of it here."""


class Part:
    """A part.

    Args:
        name: As in the names of its metrics.
        read: Reads it.
        fresh_s: Seconds for which what was read is told again.
        rest: For how many times as long as a look took none is begun.
    """

    def __init__(self, name: str, read: Read, fresh_s: float, *, rest: float = 0.0) -> None:
        self.name, self._up = name, f"c500_{name}_up"
        self._read, self._fresh_s, self._rest = read, fresh_s, rest
        self._looking: asyncio.Task[None] | None = None
        self._begun = self._ended = float("-inf")
        self._took_s = 0.0
        self._found: Sequence[Family] | None = None
        self._fault = ""
        self._seen = False

    async def told(self) -> Sequence[Family]:
        """What is known of it, `c500_<part>_up` with it unless it says so itself; that is 0 where it cannot be read."""
        await self._look()
        if not self._seen and not self._is_hung():
            return ()  # the first look goes on
        if self._is_hung() or self._fault:
            return (gauge_family(self._up, 0),)
        if self._found is None or any(one.name == self._up for one in self._found):
            return self._found or ()
        return (gauge_family(self._up, 1), *self._found)

    @property
    def age_s(self) -> float | None:
        """How old what is told is; None where nothing is."""
        return time.monotonic() - self._ended if self._seen and self._found is not None else None

    @property
    def took_s(self) -> float:
        """How long the latest look took."""
        return self._took_s

    async def close(self) -> None:
        """End the look in hand."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait([self._looking])

    async def _look(self) -> None:
        now = time.monotonic()
        if self._looking is None and now - self._ended >= max(self._fresh_s, self._rest * self._took_s):
            self._begun = now
            self._looking = asyncio.create_task(self._looked())
        patience_s = SOON_S if self._seen else PATIENCE_S
        if self._looking is not None and (left_s := self._begun + patience_s - now) > 0:
            await asyncio.wait([self._looking], timeout=left_s)

    async def _looked(self) -> None:
        try:
            self._found, fault = await self._read(), ""
        except Exception as error:  # noqa: BLE001 - whatever is broken there, the other parts are told
            self._found, fault = (), f"{type(error).__name__}: {error}"
        if fault and fault != self._fault:
            structlog.stdlib.get_logger("c500").warning("metrics cannot be read", part=self.name, error=fault[:500])
        self._fault, self._seen = fault, True
        self._ended = time.monotonic()
        self._took_s = self._ended - self._begun
        self._looking = None

    def _is_hung(self) -> bool:
        return self._looking is not None and time.monotonic() - self._begun > HUNG_S
