"""Asking a server again that did not answer or asked to wait, where it is only looked at: no turn is done twice so."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from blocks.errors import EngineUnavailable, LimitReached
from blocks.iiagent.server import Limits

T = TypeVar("T")


async def patiently(work: Callable[[], Awaitable[T]], limits: Limits) -> T:
    """What the work gives, tried again as often and as late as the server's limits say.

    Raises:
        EngineUnavailable, LimitReached: it was in vain.
    """
    for number in range(limits.retries):
        try:
            return await work()
        except (EngineUnavailable, LimitReached):
            longest_s = min(limits.longest_backoff_s, limits.backoff_s * 2**number)
            await asyncio.sleep(random.uniform(0, longest_s))  # noqa: S311 - no secret
    return await work()
