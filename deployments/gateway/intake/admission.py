"""Back-pressure: who may add to the queue now, counted from Prefect's own state, fairly between the keys."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from prefect.client.orchestration import PrefectClient

from blocks.runs import service_rate, waiting_by_owner
from blocks.runs.queue import FAIR_QUEUES
from blocks.settings import settings
from deployments.gateway.load import Recent
from deployments.gateway.web.problems import QueueFull

CALM_S = 1.0
"""How old a count may be that lets somebody in; what this process added since is known beside it."""

FRESH_S = 0.25
"""How old a count may be that refuses somebody."""

RATE_S = 5.0
"""How long a rate of service stands: refusing must cost less than admitting."""

COST_SHARE = 20
"""Counting takes at most this part of the time: with thousands waiting a count takes seconds."""

RETRY_AFTER_S = (1.0, 300.0)
UNKNOWN_RATE_PER_S = 0.1
HARD_LIMIT = 2
"""Keys below their share may fill the queue to this multiple of its depth."""


@dataclass
class Place:
    """A place in the queue, held from before the upload until the run exists.

    Attributes:
        owner: Id of the key.
        ahead: How many jobs of the key wait already.
        taken: Whether a run came of it.
    """

    owner: str
    ahead: int
    taken: bool = False

    @property
    def work_queue(self) -> str:
        """Work queue of a key's job: the first, the next two, the next four, … and all beyond.

        So a key that sends one recording does not wait behind one that sent a thousand.
        """
        return list(FAIR_QUEUES)[min(len(FAIR_QUEUES), (self.ahead + 1).bit_length()) - 1]


@dataclass
class Admission:
    """The places of one gateway process in the queue that all share.

    Args:
        client: The Prefect server's.
    """

    client: PrefectClient
    _waiting: Counter[str] = field(default_factory=Counter[str])
    _counted_at: float = float("-inf")
    _cost_s: float = 0.0
    _counting: asyncio.Lock = field(default_factory=asyncio.Lock)
    _in_hand: Counter[str] = field(default_factory=Counter[str])
    _added: list[tuple[float, str]] = field(default_factory=list[tuple[float, str]])

    def __post_init__(self) -> None:
        self._rate = Recent(lambda: service_rate(self.client), RATE_S)

    @asynccontextmanager
    async def place(self, owner: str, is_repeat: Callable[[], Awaitable[bool]] | None = None) -> AsyncGenerator[Place]:
        """Hold a place; it is given back unless a run came of it.

        Args:
            owner: Id of the key.
            is_repeat: Whether the job is there already, and so needs no place; asked only when there is none.

        Raises:
            QueueFull: with `retry_after_s` by the rate at which jobs have finished of late.
        """
        for oldest_s in (CALM_S, FRESH_S):
            await self._count(oldest_s)
            if self._admits(owner):
                break
        else:
            if is_repeat is None or not await is_repeat():
                raise await self._full()
        # Nothing is awaited between the look and this: twenty uploads at once cannot take one place.
        place = Place(owner, self._all()[owner])
        self._in_hand[owner] += 1
        try:
            yield place
        finally:
            self._in_hand -= Counter({owner: 1})
            if place.taken:
                self._added.append((time.monotonic(), owner))

    async def check(self) -> None:
        """Refuse, after a long upload, if other gateways have filled the queue beyond all shares.

        Raises:
            QueueFull: as `place`.
        """
        await self._count(CALM_S)
        if self._all().total() > HARD_LIMIT * settings().max_queue_depth:
            raise await self._full()

    def forget(self) -> None:
        """Count anew at the next look: a job has left the queue."""
        self._counted_at = float("-inf")

    def _admits(self, owner: str) -> bool:
        """Whether there is room, or else room in the owner's share of the queue."""
        waiting, depth = self._all(), settings().max_queue_depth
        if waiting.total() < depth:
            return True
        keys = len(waiting.keys() | {owner})
        return waiting[owner] < depth / keys and waiting.total() < HARD_LIMIT * depth

    def _all(self) -> Counter[str]:
        """Waiting by the latest count, submitted since, or being uploaded."""
        return self._waiting + Counter(owner for _, owner in self._added) + self._in_hand

    async def _count(self, oldest_s: float) -> None:
        """Make sure of a count that is not older, but for what counting costs; one at a time, for all who ask."""
        async with self._counting:
            began = time.monotonic()
            if began - self._counted_at <= max(oldest_s, COST_SHARE * self._cost_s):
                return
            self._waiting = Counter(await waiting_by_owner(self.client))
            # What was submitted while the count was taken may be in it or not: better twice than never.
            self._added = [(at, owner) for at, owner in self._added if at >= began]
            self._counted_at, self._cost_s = began, time.monotonic() - began

    async def _full(self) -> QueueFull:
        depth, waiting = settings().max_queue_depth, self._all().total()
        rate = await self._rate.get() or UNKNOWN_RATE_PER_S
        shortest_s, longest_s = RETRY_AFTER_S
        return QueueFull(
            f"{waiting} jobs wait; the queue takes {depth}",
            fix="send it again after the time in Retry-After",
            waiting=waiting,
            max_queue_depth=depth,
            retry_after_s=round(min(longest_s, max(shortest_s, (waiting - depth + 1) / rate)), 1),
        )
