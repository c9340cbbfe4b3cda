"""The limiter of all processes of one machine."""

import asyncio
import queue
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from blocks.errors import EngineUnavailable
from blocks.limits import grant
from blocks.limits.books import Books, BooksFile
from blocks.limits.limit import Limit, Option, Refusal, Reservation, Standing
from blocks.limits.protocol import LEASE_S

BATCH = 64
"""The most operations in one transaction."""

PATIENCE_S = 30.0
"""How long an operation may wait for its turn. Longer is no queue, but a stopped process that holds the lock."""

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

Answer = TypeVar("Answer")
Given = TypeVar("Given", covariant=True)


class Work(Protocol[Given]):
    """What is done with the books at a moment."""

    def __call__(self, windows: Books, /, *, now: float, wall_s: float) -> Given: ...


@dataclass(eq=False)
class Asked(Generic[Answer]):
    """An operation on its way to the thread and back.

    Attributes:
        work: What to do.
        limits: Whose books it may change, by key; None when only the key is known.
        answer: Where the caller waits.
        given_up: Whether it need not take place any more; it may be under way all the same.
    """

    work: Work[Answer]
    limits: dict[str, Limit | None]
    answer: asyncio.Future[Answer]
    given_up: bool = False


class SqliteLimiter:
    """Keeps the books in a file that all processes of a machine may open; see `Limiter`.

    After a reboot, every `rate` window is closed for its length, and what calls held counts as used. The file must lie
    on a local disk: locks of network file systems are not to be trusted.

    A thread works off what is asked; all that waits goes in one transaction.

    Args:
        path: Of the file; made when it is not there.
        clock: Seconds that never go back, the same for all processes of a boot. `time.monotonic` is that on Linux; it
            stands still while the machine is suspended, so windows then last longer.
        wall: Seconds since 1970.
        boot: Names this boot of the machine.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        boot: str | None = None,
    ) -> None:
        self._path, self._clock, self._wall = Path(path), clock, wall
        self._boot = boot or _boot()
        self._asked: queue.SimpleQueue[Asked[Any] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    async def reserve(
        self, options: Sequence[Option], *, lease_s: float = LEASE_S, in_order: bool = False
    ) -> Reservation | Refusal:
        """See `Limiter`."""
        reservation_id = uuid.uuid4().hex
        work = partial(
            grant.reserve, options=options, reservation_id=reservation_id, lease_s=lease_s, in_order=in_order
        )
        asked = self._ask(work, (charge.limit for option in options for charge in option.charges))
        try:
            chosen = await _answer(asked)
        except (asyncio.CancelledError, EngineUnavailable):  # nobody waits for it any more
            asked.given_up = True
            asked.answer.add_done_callback(partial(self._give_back, reservation_id))
            raise
        return chosen if isinstance(chosen, Refusal) else Reservation(reservation_id=reservation_id, option=chosen)

    async def settle(self, reservation: Reservation, used: Mapping[str, int] | None = None) -> None:
        """See `Limiter`."""
        await self._charge(partial(grant.settle, reservation=reservation, used=used or {}), reservation)

    async def release(self, reservation: Reservation) -> None:
        """See `Limiter`."""
        await self._charge(partial(grant.release, reservation=reservation), reservation)

    async def extend(self, reservation: Reservation, lease_s: float = LEASE_S) -> None:
        """See `Limiter`."""
        await self._charge(partial(grant.extend, reservation=reservation, lease_s=lease_s), reservation)

    async def block(self, key: str, seconds: float) -> None:
        """See `Limiter`."""

        def work(windows: Books, /, *, now: float, wall_s: float) -> None:
            grant.block(windows, key, seconds, now)

        await _answer(self._ask(work, (), key))

    async def learn(self, limit: Limit, *, amount: int | None = None, remaining: int | None = None) -> None:
        """See `Limiter`."""
        await _answer(self._ask(partial(grant.learn, limit=limit, amount=amount, remaining=remaining), (limit,)))

    async def standing(self, limits: Sequence[Limit]) -> list[Standing]:
        """See `Limiter`."""

        def work(windows: Books, /, *, now: float, wall_s: float) -> list[Standing]:
            return [grant.standing(windows, limit, now, wall_s) for limit in limits]

        return await _answer(self._ask(work, limits))

    async def close(self) -> None:
        """Let go of the file, when all that was asked is worked off."""
        while (thread := self._thread) is not None:
            self._asked.put(None)
            await asyncio.to_thread(thread.join, PATIENCE_S)
            self._thread = None
            if not thread.is_alive() and not self._asked.empty():  # behind the end: what cancelled callers give back
                self._start()

    async def _charge(self, work: Work[None], reservation: Reservation) -> None:
        await _answer(self._ask(work, (charge.limit for charge in reservation.option.charges)))

    def _ask(self, work: Work[Answer], limits: Iterable[Limit], *keys: str) -> Asked[Answer]:
        by_key: dict[str, Limit | None] = dict.fromkeys(keys) | {limit.key: limit for limit in limits}
        asked = Asked(work, by_key, asyncio.get_running_loop().create_future())
        self._asked.put(asked)
        if self._thread is None:
            self._start()
        return asked

    def _start(self) -> None:
        # A daemon: one that waits for the lock does not keep the process from ending.
        self._thread = threading.Thread(target=self._work_off, name="limiter", daemon=True)
        self._thread.start()

    def _give_back(self, reservation_id: str, done: "asyncio.Future[Option | Refusal]") -> None:
        if not done.cancelled() and done.exception() is None and isinstance(option := done.result(), Option):
            reservation = Reservation(reservation_id=reservation_id, option=option)
            self._ask(partial(grant.release, reservation=reservation), (charge.limit for charge in option.charges))

    def _work_off(self) -> None:
        """The thread."""
        file: BooksFile | None = None
        while batch := _batch(self._asked):
            try:
                file = file or BooksFile(self._path, self._clock, self._boot)
                answers = self._transact(file, batch)
            except (sqlite3.Error, OSError) as error:
                _deliver(batch, [_unavailable(self._path, error) for _ in batch])
            except Exception as error:  # noqa: BLE001 - the callers get it, and the thread goes on
                _deliver(batch, [error] * len(batch))
            else:
                _deliver(batch, answers)
        if file is not None:
            file.close()

    def _transact(self, file: BooksFile, batch: list[Asked[Any]]) -> list[Any]:
        with file.change() as books:
            answers: list[Any] = []
            for asked in batch:
                if asked.given_up:  # while another process had the lock
                    answers.append(None)
                    continue
                for key, limit in asked.limits.items():
                    books.touch(key, limit)
                answers.append(asked.work(books, now=self._clock(), wall_s=self._wall()))
            return answers


def _batch(queued: "queue.SimpleQueue[Asked[Any] | None]") -> list[Asked[Any]]:
    """The next operations that somebody waits for; none when there will be no more."""
    batch: list[Asked[Any]] = []
    while not batch:
        asked = queued.get()
        while asked is not None:
            if not asked.given_up:
                batch.append(asked)
            if len(batch) == BATCH or queued.empty():
                break
            asked = queued.get()
        if asked is None:
            if batch:
                queued.put(None)  # first what came before the end
            break
    return batch


def _deliver(batch: list[Asked[Any]], answers: list[Any]) -> None:
    loop = batch[0].answer.get_loop()
    with suppress(RuntimeError):  # the loop was closed: nobody waits any more
        loop.call_soon_threadsafe(_resolve, batch, answers)


def _resolve(batch: list[Asked[Any]], answers: list[Any]) -> None:
    for asked, answer in zip(batch, answers, strict=True):
        if asked.answer.done():
            continue
        if isinstance(answer, Exception):
            asked.answer.set_exception(answer)
        else:
            asked.answer.set_result(answer)


async def _answer(asked: Asked[Answer]) -> Answer:
    """Wait for an answer. The operation takes place even if the caller is cancelled meanwhile."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            return await asyncio.shield(asked.answer)
    except TimeoutError:
        asked.given_up = True
        raise EngineUnavailable(
            f"the limiter's file was locked for {PATIENCE_S:.0f} s",
            fix="look for a stopped process that uses the same file",
        ) from None


def _unavailable(path: Path, error: Exception) -> EngineUnavailable:
    return EngineUnavailable(
        f"the limiter's file {path} cannot be used: {error}",
        fix="make its folder writable, or name another file; calls are refused until then",
    )


def _boot() -> str:
    """Names this boot of the machine; all processes find the same."""
    if BOOT_ID.exists():
        return BOOT_ID.read_text().strip()
    import psutil

    return str(round(psutil.boot_time()))
