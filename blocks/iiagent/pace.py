"""Time as a session's waiting uses it, and waiting that a cancellation by another task ends at once."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Pace:
    """Time, and chance, as a test may want them otherwise.

    Attributes:
        now: Seconds of a clock that never goes back.
        sleep: Waits for seconds.
        jitter: A random number between two.
    """

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
    jitter: Callable[[float, float], float] = random.uniform


class Halted(Exception):
    """Somebody called off the turn."""


class Nap:
    """Waits, until it is over or the turn is called off.

    Args:
        pace: Time.
    """

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._halt = asyncio.Event()

    @property
    def halted(self) -> bool:
        """Whether the turn was called off."""
        return self._halt.is_set()

    def halt(self) -> None:
        """Call the turn off."""
        self._halt.set()

    def check(self) -> None:
        """Raises `Halted` where the turn was called off."""
        if self.halted:
            raise Halted

    async def __call__(self, seconds: float) -> None:
        """Wait. Raises `Halted`."""
        sleeping = asyncio.ensure_future(self._pace.sleep(seconds))
        halting = asyncio.ensure_future(self._halt.wait())
        try:
            await asyncio.wait((sleeping, halting), return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeping.cancel()
            halting.cancel()
        self.check()

    async def during(self, work: Awaitable[T]) -> T:
        """What the work gives, which may be cancelled; called off, it is not waited for. Raises `Halted`."""
        working = asyncio.ensure_future(work)
        halting = asyncio.ensure_future(self._halt.wait())
        try:
            await asyncio.wait((working, halting), return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                return working.result()
        finally:
            halting.cancel()
            if not working.done():
                working.cancel()
                await asyncio.gather(working, return_exceptions=True)
        raise Halted

    async def backoff(self, tries: int, first_s: float, longest_s: float) -> None:
        """Wait for a random time up to twice that of the last try: full jitter.

        Source: Brooker, «Exponential Backoff And Jitter», AWS 2015.
        """
        await self(self._pace.jitter(0, min(longest_s, first_s * 2 ** min(tries, 30))))
