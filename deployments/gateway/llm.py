"""The gateway's account pool: opened when it is first needed, and brought up to date when its file changes."""

import asyncio
import time
from contextlib import AsyncExitStack
from pathlib import Path

import structlog

from blocks.accounts.account import Accounts, Quota
from blocks.accounts.file import read_accounts
from blocks.accounts.open import open_pool
from blocks.accounts.pool import Pool
from blocks.accounts.routes import Route, routes_of
from blocks.accounts.standing import quota_of, with_quotas
from blocks.errors import BadInput, EngineUnavailable
from blocks.keys import ApiKey
from blocks.progress import in_thread

FRESH_S = 2.0
"""How long it is not looked whether the file has changed."""

Stamp = tuple[int, int, int]


class NoAccounts(EngineUnavailable):
    """This gateway has no LLM accounts, or its file of them is wrong."""

    code = "NO_ACCOUNTS"


class LivePool:
    """The pool of a file.

    A file that became wrong, or is gone, changes nothing: the pool goes on as it was; log and `/health` say so. Calls
    that run when the file changes end as they began; limits, books and connections stay.

    Args:
        file: ACCOUNTS_FILE.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._opening = asyncio.Lock()
        self._open = AsyncExitStack()
        self._pool: Pool | None = None
        self._accounts: Accounts | None = None
        self._quotas: dict[str, Quota] = {}
        self._stamp: Stamp | None = None
        self._wrong: BadInput | None = None
        self._looked_at = float("-inf")

    async def serving(self, key: ApiKey) -> Pool:
        """The pool for the calls of a key, its budgets in force.

        Raises:
            NoAccounts: there is no file, or it was wrong from the beginning.
        """
        # The stop switch belongs here: every call of a client passes, before it waits for any limit.
        pool = await self.pool()
        self._keep_quota(pool, key)
        return pool

    async def pool(self) -> Pool:
        """The pool. Raises `NoAccounts`."""
        async with self._opening:
            await self._look()
            if self._pool is not None:
                return self._pool
        if self._wrong is not None:
            message = f"this gateway's LLM accounts cannot be read: {self._wrong.message}"
            raise NoAccounts(message, fix=self._wrong.fix)
        raise NoAccounts(
            f"this gateway has no LLM accounts: there is no file {self._file.name}",
            fix="write one and name it in ACCOUNTS_FILE; docs/accounts.md shows how",
        )

    async def accounts(self) -> Accounts | None:
        """What the file says; None where there is none, or it is wrong."""
        try:
            await self.pool()
        except NoAccounts:
            return None
        return self._accounts

    @property
    def is_there(self) -> bool:
        """Whether there is anything to look at: a file, or the pool of one that is gone."""
        return self._pool is not None or _stamp(self._file) is not None

    async def fault(self) -> str | None:
        """What is wrong with the file as it is now, by its name and line alone, since anyone may read it; or None."""
        async with self._opening:
            await self._look()
        if self._stamp is None:
            return None if self._pool is None else f"{self._file.name} is gone; the last good one is used"
        if self._wrong is None:
            return None
        line = self._wrong.details.get("line")
        place = f"{self._file.name}:{line}" if line else self._file.name
        return f"{place} is wrong; {'no account' if self._pool is None else 'the last good one'} is used"

    async def close(self) -> None:
        """Write the books and close all connections."""
        await self._open.aclose()

    async def _look(self) -> None:
        """Open the pool, or take a changed file over, unless that was looked at within the last `FRESH_S`."""
        if time.monotonic() - self._looked_at <= FRESH_S:
            return
        stamp = _stamp(self._file)
        if stamp != self._stamp:
            self._wrong = None if stamp is None else await self._read()
            self._stamp = stamp
        self._looked_at = time.monotonic()

    async def _read(self) -> BadInput | None:
        """Take over what the file says; else what is wrong with it."""
        try:
            accounts = await in_thread(read_accounts, self._file)
            if self._pool is None:
                self._pool = await self._open.enter_async_context(open_pool(self._file))
        except BadInput as error:
            structlog.stdlib.get_logger("c500").warning("accounts file not taken over", error=error.message)
            return error
        self._accounts = accounts
        self._take_over(self._pool)
        return None

    def _keep_quota(self, pool: Pool, key: ApiKey) -> None:
        quota = quota_of(key)
        if self._quotas.get(key.key_id, Quota()) != quota:
            self._quotas[key.key_id] = quota
            self._take_over(pool)

    def _take_over(self, pool: Pool) -> None:
        """Let new calls go by the file and the keys as they are now; routes that stay keep what is known of them."""
        if self._accounts is None:
            return
        known = {route.key: route for route in pool.routes}
        pool.routes = [_same(known.get(route.key), route) for route in routes_of(self._accounts)]
        pool.accounts = with_quotas(self._accounts, self._quotas)


def _same(before: Route | None, now: Route) -> Route:
    stays = before is not None and (before.account, before.model) == (now.account, now.model)
    return before if before is not None and stays else now


def _stamp(file: Path) -> Stamp | None:
    """Changes when the file does; None where there is none."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
