"""The process of a Prefect server, with two faults of its SQLite form mended.

`python -m deployments.prefect_server server start` is `prefect server start`. Both faults showed when twenty runs were
submitted at once (Prefect 3.8.8): the server answered nothing, `/health` neither, for a minute at a time.
"""

import gc
import threading
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession, AsyncSessionTransaction

COLLECT_EVERY_S = 10.0


def mend_sqlite() -> None:
    """Mend the server of this process; call it before the server starts. One on PostgreSQL loses nothing by it."""
    _begin_with_the_write_lock()
    _collect_aside()


def _begin_with_the_write_lock() -> None:
    """Have transactions that write wait for each other.

    Prefect begins them as readers (BEGIN DEFERRED). One that writes after another has written fails at once, and its
    client comes again after 2, 4, 8 s; SQLite lets it wait only where it asks for the lock first (BEGIN IMMEDIATE).
    """
    from prefect.server.database.configurations import SQLITE_BEGIN_MODE, AioSqliteConfiguration

    begin = AioSqliteConfiguration.begin_transaction

    @asynccontextmanager
    async def begin_transaction(
        self: AioSqliteConfiguration, session: "AsyncSession", with_for_update: bool = False
    ) -> "AsyncGenerator[AsyncSessionTransaction]":
        within_another = SQLITE_BEGIN_MODE.get() is not None  # which would wait for itself
        async with begin(self, session, with_for_update=with_for_update) as transaction:
            if not within_another:
                mode = SQLITE_BEGIN_MODE.set("IMMEDIATE")
                try:
                    await session.connection()
                finally:  # tasks that begin meanwhile inherit it, and must not take the lock to read
                    SQLITE_BEGIN_MODE.reset(mode)
            yield transaction

    AioSqliteConfiguration.begin_transaction = begin_transaction  # type: ignore[method-assign]


def _collect_aside() -> None:
    """Have garbage collected by a thread of its own, instead of by whichever allocates.

    A cursor that is collected waits for its connection, and that may wait a minute for the write lock. If it is the
    event loop that collects, who holds the lock cannot go on, and nothing can until the minute is over.
    """
    gc.disable()

    def collect() -> None:
        time.sleep(COLLECT_EVERY_S)
        gc.collect()
        gc.freeze()  # what is loaded by now stays: looking through it again and again costs the server much
        while True:
            time.sleep(COLLECT_EVERY_S)
            gc.collect()

    threading.Thread(target=collect, name="garbage collector", daemon=True).start()


def main() -> None:
    """Run Prefect's command line, whose arguments are this process's."""
    mend_sqlite()
    from prefect.cli import app

    app()


if __name__ == "__main__":
    main()
