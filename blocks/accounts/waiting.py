"""Callers that wait for a limit: fair between users, and nobody starves.

Start-time fair queueing (Goyal, Vin, Cheng 1996): every user has a virtual time that moves on with each turn, by less
for a higher priority; whose virtual time is least, has the next turn. Who comes late starts at the present.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from blocks.accounts.chat import Caller, Priority

WEIGHTS: dict[Priority, int] = {"low": 1, "normal": 4, "high": 16}
"""Turns of a priority for each of the lowest."""


@dataclass(eq=False)
class _Line:
    """The callers of one user and priority, first come first."""

    waiting: deque[asyncio.Future[None]] = field(default_factory=deque[asyncio.Future[None]])
    virtual: float = 0.0


@dataclass
class WaitingRoom:
    """Who waits for one set of routes: one caller at a time is at the head and tries, the others wait in line."""

    _lines: dict[tuple[str, Priority], _Line] = field(default_factory=dict[tuple[str, Priority], _Line])
    _now: float = 0.0
    _head: asyncio.Future[None] | None = None
    _freed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def is_empty(self) -> bool:
        """Whether nobody waits."""
        return self._head is None

    @asynccontextmanager
    async def turn(self, caller: Caller) -> AsyncGenerator[None]:
        """Wait to be at the head, and stay there until the block ends."""
        line = self._lines.setdefault((caller.user, caller.priority), _Line())
        if not line.waiting:
            line.virtual = max(line.virtual, self._now)
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        line.waiting.append(mine)
        if self._head is None:
            self._next()
        try:
            await mine
            yield
        finally:
            if self._head is mine:
                self._head = None
                self._next()
            else:
                line.waiting.remove(mine)

    async def change(self, wait_s: float) -> None:
        """At the head: wait so long, or until a call ends; not at all when one has ended since the last wait."""
        try:
            async with asyncio.timeout(wait_s):
                await self._freed.wait()
        except TimeoutError:
            pass
        self._freed.clear()  # not before the wait: a call may end while its limits are looked at

    def freed(self) -> None:
        """A call ended: there may be room."""
        self._freed.set()

    def _next(self) -> None:
        # A line that is empty and has had no more than its share is as good as new.
        self._lines = {key: line for key, line in self._lines.items() if line.waiting or line.virtual > self._now}
        lines = [item for item in self._lines.items() if item[1].waiting]
        if not lines:
            return
        (_, priority), line = min(lines, key=lambda item: item[1].virtual)
        self._now = line.virtual
        line.virtual += 1 / WEIGHTS[priority]
        self._head = line.waiting.popleft()
        if not self._head.done():
            self._head.set_result(None)
