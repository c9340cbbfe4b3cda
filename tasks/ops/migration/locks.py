"""The shared resources of a migration: taken before a phase begins, renewed while it is at work."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Iterable
from contextlib import asynccontextmanager, suppress
from typing import TypeVar

from blocks.errors import C500Error, Conflict
from blocks.progress import in_thread
from blocks.resource_locks import ResourceLock, ResourceLocks
from tasks.ops.migration.plan import MigrationPlan

T = TypeVar("T")

POLL_S = 0.5
RENEWED_AT = 1 / 3
"""Of a term: two renewals may fail before it is over."""


class Keeper:
    """Holds resources for a migration.

    Args:
        locks: Where they are written.
        owner: The migration, in all its runs.
        plan: Says for how long.
    """

    def __init__(self, locks: ResourceLocks, owner: str, plan: MigrationPlan) -> None:
        self._locks, self._owner, self._plan = locks, owner, plan
        self._held: dict[str, ResourceLock] = {}
        self._lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def tokens(self) -> dict[str, int]:
        """The fencing tokens of what is held."""
        return {name: lock.token for name, lock in self._held.items()}

    async def take(self, resources: Iterable[str]) -> None:
        """Take what is not held yet; waits for others as long as the plan says.

        Raises:
            Conflict: another holds one of them still.
        """
        deadline = asyncio.get_running_loop().time() + self._plan.lock_wait_s
        for resource in sorted({*resources} - {*self._held}):
            while True:
                try:
                    lock = await in_thread(self._locks.take, resource, self._owner, term_s=self._plan.lock_term_s)
                except Conflict:
                    if asyncio.get_running_loop().time() >= deadline:
                        raise
                    await asyncio.sleep(POLL_S)
                else:
                    self._held[resource] = lock
                    break

    def check(self) -> None:
        """Make sure that all are ours still. Raises `Fenced`."""
        for lock in self._held.values():
            self._locks.check(lock)

    async def while_held(self, work: Awaitable[T]) -> T:
        """Do something only as long as nothing is lost. Raises `Fenced`, and whatever kept us from renewing."""
        working = asyncio.ensure_future(work)
        try:
            await asyncio.wait({working, self._lost}, return_when=asyncio.FIRST_COMPLETED)
            if self._lost.done() and not working.done():
                self._lost.result()
            return await working
        finally:
            if not working.done():
                working.cancel()
                with suppress(asyncio.CancelledError, C500Error):
                    await working

    async def renew_on(self) -> None:
        """Renew all, again and again."""
        while True:
            await asyncio.sleep(self._plan.lock_term_s * RENEWED_AT)
            try:
                await self.renew(self._plan.lock_term_s)
            except C500Error as error:
                if not self._lost.done():
                    self._lost.set_exception(error)
                return

    async def renew(self, term_s: float) -> None:
        """Hold all for so many seconds from now. Raises `Fenced`, `StoreFailed`."""
        for resource, lock in [*self._held.items()]:
            self._held[resource] = await in_thread(self._locks.renew, lock, term_s=term_s)

    async def let_go(self, *, ended: bool) -> None:
        """Free all where the migration has ended; else keep them for as long as the plan says."""
        if self._lost.done():
            self._lost.exception()  # it has been told, or nothing was at work
            return
        for lock in self._held.values():
            if ended or not self._plan.lock_hold_s:
                await in_thread(self._locks.release, lock)
        if not ended and self._plan.lock_hold_s:
            with suppress(C500Error):  # then the term that they have must do
                await self.renew(self._plan.lock_hold_s)


@asynccontextmanager
async def keeping(locks: ResourceLocks, owner: str, plan: MigrationPlan) -> AsyncGenerator[Keeper]:
    """A keeper that renews what it holds until the block ends; what then becomes of it, `let_go` says before."""
    keeper = Keeper(locks, owner, plan)
    renewing = asyncio.create_task(keeper.renew_on())
    try:
        yield keeper
    finally:
        renewing.cancel()
        with suppress(asyncio.CancelledError):
            await renewing
