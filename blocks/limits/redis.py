"""The limiter of several machines."""

import asyncio
import uuid
from collections.abc import Callable, Mapping, Sequence

from blocks.limits.limit import Limit, Option, Refusal, Reservation, Standing
from blocks.limits.protocol import LEASE_S, Reseed
from blocks.limits.script import Answer, Operation, Script
from blocks.limits.window import NEVER, keep_s

PREFIX = "{c500:limits}:"
"""Begins all our keys. In braces, so that a Redis cluster keeps them on one node."""

LONG_S = 1e12
"""Stands for ever in JSON, which has no infinity."""


class RedisLimiter:
    """Keeps the books in Redis (tested with 7.0), for all who use the same server and prefix; see `Limiter`.

    The clock is the server's, and it never goes back. Keys go away by themselves when their limit is not used any more:
    rate windows soon after they are empty, what a server said after 30 days, a budget for ever after 400.

    Redis must not evict keys (`maxmemory-policy noeviction`). When it was restarted, or had its keys flushed, the books
    may be incomplete. Then nothing is granted until all that they may not know is over: for the longest lease that any
    client gave, and for the whole window of a `rate` limit. After that `calendar` limits begin with what is
    larger: what Redis still had, or what `reseed` says. Without `reseed`, what Redis lost of them is forgotten. Loss is
    not noticed where nothing is left of Redis and all its clients were restarted too; let Redis persist its data.

    Args:
        url: `redis://`, `rediss://` or `unix://`.
        prefix: Begins all keys.
        reseed: Asked for each `calendar` limit when Redis has no books of it.
        clock: Seconds since 1970 instead of the server's clock, for tests.

    Raises:
        Unsupported: the package redis is not installed.
    """

    def __init__(
        self,
        url: str,
        *,
        prefix: str = PREFIX,
        reseed: Reseed | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._script = Script(url, f"{prefix}state", can_seed=reseed is not None)
        self._reseed, self._clock = reseed, clock
        self._seeding = asyncio.Lock()

    async def reserve(
        self, options: Sequence[Option], *, lease_s: float = LEASE_S, in_order: bool = False
    ) -> Reservation | Refusal:
        """See `Limiter`."""
        limits, numbered = _numbered(options)
        reservation_id = uuid.uuid4().hex
        self._lease(lease_s)
        operation: Operation = ["reserve", reservation_id, lease_s, in_order, [_row(one) for one in limits], numbered]
        what, *rest = await self._reserve(operation, options)
        if what == "seed":
            async with self._seeding:  # the first asks the books, for all who wait here
                what, *rest = await self._reserve(operation, options)
                while what == "seed":
                    await self._seed(rest[0], [limits[int(number) - 1] for number in rest[1:]])
                    what, *rest = await self._reserve(operation, options)
        if what == "refused":
            wait_s = float(rest[0])
            return Refusal(keys=tuple(rest[1:]), wait_s=None if wait_s == NEVER else wait_s)
        return _granted(reservation_id, options, rest)

    async def settle(self, reservation: Reservation, used: Mapping[str, int] | None = None) -> None:
        """See `Limiter`."""
        charges = reservation.option.charges
        amounts = [max(0, (used or {}).get(charge.limit.key, charge.amount)) for charge in charges]
        await self._ask(["settle", *_named(reservation), *_charged(reservation), amounts])

    async def release(self, reservation: Reservation) -> None:
        """See `Limiter`."""
        await self._ask(_release(reservation))

    async def extend(self, reservation: Reservation, lease_s: float = LEASE_S) -> None:
        """See `Limiter`."""
        self._lease(lease_s)
        await self._ask(["extend", *_named(reservation), lease_s, *_charged(reservation)])

    async def block(self, key: str, seconds: float) -> None:
        """See `Limiter`."""
        await self._ask(["block", key, seconds])

    async def learn(self, limit: Limit, *, amount: int | None = None, remaining: int | None = None) -> None:
        """See `Limiter`."""
        said = [-1 if number is None else max(0, number) for number in (amount, remaining)]
        await self._ask(["learn", _row(limit), *said])

    async def standing(self, limits: Sequence[Limit]) -> list[Standing]:
        """See `Limiter`."""
        answer = await self._ask(["standing", [_row(limit) for limit in limits]])
        return [_standing(limit, line) for limit, line in zip(limits, answer, strict=True)]

    async def close(self) -> None:
        """Let go of the connections."""
        await self._script.close()

    async def _reserve(self, operation: Operation, options: Sequence[Option]) -> Answer:
        """Ask; when nobody waits for the answer any more, give back what is granted."""
        answer = self._tell(operation)
        try:
            return await asyncio.shield(answer)
        except asyncio.CancelledError:
            answer.add_done_callback(lambda done: self._give_back(operation[1], options, done))
            raise

    def _give_back(self, reservation_id: str, options: Sequence[Option], done: "asyncio.Future[Answer]") -> None:
        if not done.cancelled() and done.exception() is None and done.result()[0] == "granted":
            self._tell(_release(_granted(reservation_id, options, done.result()[1:])))

    async def _seed(self, epoch: str, limits: Sequence[Limit]) -> None:
        assert self._reseed is not None  # noqa: S101 - else the script does not ask
        used = await self._reseed(limits)
        await self._ask(["seed", epoch, [_row(limit) for limit in limits], [used.get(one.key, 0) for one in limits]])

    async def _ask(self, operation: Operation) -> Answer:
        # Shielded: a settle whose caller is cancelled takes place all the same.
        return await asyncio.shield(self._tell(operation))

    def _tell(self, operation: Operation) -> "asyncio.Future[Answer]":
        if self._clock is not None:
            self._script.fixed_time_s = self._clock()
        return self._script.ask(operation)

    def _lease(self, lease_s: float) -> None:
        self._script.longest_lease_s = max(self._script.longest_lease_s, lease_s)


def _numbered(options: Sequence[Option]) -> tuple[list[Limit], list[list[tuple[int, int]]]]:
    """Each limit once, and the charges of the options with the number of their limit, from 1."""
    numbers: dict[str, int] = {}
    limits: list[Limit] = []
    numbered: list[list[tuple[int, int]]] = []
    for option in options:
        for charge in option.charges:
            if charge.limit.key not in numbers:
                limits.append(charge.limit)
                numbers[charge.limit.key] = len(limits)
        numbered.append([(numbers[charge.limit.key], charge.amount) for charge in option.charges])
    return limits, numbered


def _row(limit: Limit) -> tuple[str, int, str, float, str, int, float]:
    keep = min(keep_s(limit), LONG_S)
    return limit.key, limit.amount, limit.kind, limit.window_s, limit.period, limit.utc_offset_s, keep


def _granted(reservation_id: str, options: Sequence[Option], rest: Answer) -> Reservation:
    # With the epoch, so that at the end it is known whether the books of then were lost.
    epoch, number = rest
    return Reservation(reservation_id=f"{reservation_id}@{epoch}", option=options[int(number)])


def _named(reservation: Reservation) -> list[str]:
    """Its identity in Redis, and the epoch of the books in which it was granted."""
    return reservation.reservation_id.split("@")


def _charged(reservation: Reservation) -> tuple[list[tuple[object, ...]], list[int]]:
    charges = reservation.option.charges
    return [_row(charge.limit) for charge in charges], [charge.amount for charge in charges]


def _release(reservation: Reservation) -> Operation:
    return ["release", _named(reservation)[0], *_charged(reservation)]


def _standing(limit: Limit, line: str) -> Standing:
    amount, settled, held, blocked_s = line.split()
    return Standing(key=limit.key, amount=int(amount), settled=int(settled), held=int(held), blocked_s=float(blocked_s))
