"""Gates: where a run stands until a test lets it go on, so that no test needs to sleep."""

import asyncio
from collections import defaultdict


class Gates:
    """Gates by name. One that was opened stays open."""

    def __init__(self) -> None:
        self._opened: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self._reached: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)

    def open(self, name: str) -> None:
        """Let everybody through, now and later."""
        self._opened[name].set()

    async def through(self, name: str) -> None:
        """Stand at the gate until it is open."""
        self._reached[name].set()
        await self._opened[name].wait()

    async def reached(self, name: str) -> None:
        """Wait until somebody has come to the gate."""
        await self._reached[name].wait()
