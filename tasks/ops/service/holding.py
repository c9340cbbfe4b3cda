"""A service in the hands of one run, for as long as that run is at work on it."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

from blocks.errors import C500Error
from blocks.progress import in_thread
from blocks.resource_locks import ResourceLock, ResourceLocks
from blocks.store.files import Files

TERM_S = 60.0
"""After which a service is free where its run died; that run itself may go on at once."""

RENEWED_AT = 1 / 3
"""Of a term."""


async def take(files: Files, service: str, run_id: str) -> ResourceLock:
    """Take a service. Raises `Conflict`: another run is at work on it."""
    return await in_thread(ResourceLocks(files).take, f"services/{service}", run_id, term_s=TERM_S)


@asynccontextmanager
async def kept(files: Files, lock: ResourceLock) -> AsyncGenerator[None]:
    """Keep a service until the block ends, however long commands and answers of people take; then free it.

    Raises:
        Fenced: another has taken it, as after a pause of this machine; what is at work in the block is cancelled.
        StoreFailed: it cannot be renewed; the same.
    """
    locks, lost = ResourceLocks(files), list[C500Error]()
    at_work = asyncio.current_task()
    assert at_work is not None  # noqa: S101 - we are in one

    async def renew() -> None:
        held = lock
        try:
            while True:
                await asyncio.sleep(TERM_S * RENEWED_AT)
                held = await in_thread(locks.renew, held, term_s=TERM_S)
        except C500Error as error:
            lost.append(error)
            at_work.cancel()

    renewing = asyncio.create_task(renew())
    try:
        yield
    except asyncio.CancelledError:
        if not lost:
            raise
        at_work.uncancel()
        raise lost[0] from None
    finally:
        renewing.cancel()
        with suppress(asyncio.CancelledError):
            await renewing
        await in_thread(locks.release, lock)
