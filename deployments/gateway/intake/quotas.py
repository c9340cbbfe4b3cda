"""How much a key may ask for: requests a minute, bytes a day."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog
from pydantic import ValidationError

from blocks.errors import C500Error, Conflict, LimitReached
from blocks.keys import ApiKey
from blocks.model import Frozen
from blocks.store.files import Files

log = structlog.stdlib.get_logger("c500")

USAGE = "gateway/usage"
SWAP_TRIES = 50
KEPT_DAYS = 31


class Usage(Frozen):
    """Bytes that a key uploaded in a day."""

    uploaded_bytes: int = 0


@dataclass
class Account:
    """What a key has used of a day (UTC): what the store says, and what uploads in hand add."""

    key_id: str
    day: str
    stored_bytes: int = 0
    in_hand_bytes: int = 0

    @property
    def file(self) -> str:
        """Where it lies in the store."""
        return f"{USAGE}/{self.key_id}/{self.day}.json"

    @property
    def total_bytes(self) -> int:
        """Everything."""
        return self.stored_bytes + self.in_hand_bytes


class Quotas:
    """The quotas of all keys.

    Requests are counted in this process by a token bucket that holds a minute's worth; a restart fills it again, and
    several gateways each have their own. Bytes are kept in the store, written once an upload, so they outlive a
    restart; what uploads in hand have taken counts already, but only that of this process.

    Args:
        files: The store.
    """

    def __init__(self, files: Files) -> None:
        self._files = files
        self._buckets: dict[str, tuple[float, float]] = {}
        self._accounts: dict[tuple[str, str], Account] = {}

    def request(self, key: ApiKey) -> None:
        """Count one request. Raises `LimitReached` with `retry_after_s`."""
        if key.requests_per_min is None:
            return
        now = time.monotonic()
        left, at = self._buckets.get(key.key_id, (float(key.requests_per_min), now))
        left = min(float(key.requests_per_min), left + (now - at) * key.requests_per_min / 60)
        allowed = left >= 1
        self._buckets[key.key_id] = (left - 1 if allowed else left, now)
        if not allowed:
            raise LimitReached(
                f"this API key may make {key.requests_per_min} requests a minute",
                fix="wait, then go on more slowly (`?wait=` saves most status requests), or have it raised: "
                f"c500 keys limit {key.key_id} --requests-per-min NUMBER",
                retry_after_s=(1 - left) * 60 / key.requests_per_min,
            )

    @asynccontextmanager
    async def upload(self, key: ApiKey, declared_bytes: int | None = None) -> AsyncGenerator[Callable[[int], None]]:
        """Count the bytes of one upload while it streams in.

        What has come counts also when the upload fails: it has used the line and the disk.

        Args:
            key: Whose quota.
            declared_bytes: The length the client announced, to refuse before the first byte; not believed otherwise.

        Yields:
            A function to call with the number of bytes of each piece that came; raises `LimitReached`.

        Raises:
            LimitReached: the quota is used up, or would be by the announced length.
        """
        limit = key.bytes_per_day
        if limit is None:
            yield _uncounted
            return
        account = await self._account(key.key_id)
        if account.total_bytes + max(1, declared_bytes or 0) > limit:
            raise _used_up(key.key_id, limit)
        came = 0

        def spend(count: int) -> None:
            nonlocal came
            came += count
            account.in_hand_bytes += count
            if account.total_bytes > limit:
                raise _used_up(key.key_id, limit)

        try:
            yield spend
        finally:
            try:
                await self._keep(account, came)
            finally:
                account.in_hand_bytes -= came

    async def _keep(self, account: Account, came: int) -> None:
        """Add to the count in the store. Should that fail, the upload still stands: only its bytes are forgotten."""
        if not came:
            return
        try:
            stored = await asyncio.to_thread(self._add, account, came)
            account.stored_bytes = max(account.stored_bytes, stored)
        except (C500Error, OSError) as error:
            log.warning("upload not counted", key_id=account.key_id, bytes=came, error=str(error))

    async def _account(self, key_id: str) -> Account:
        day = datetime.now(UTC).date().isoformat()
        for other in [one for one in self._accounts.values() if one.day != day and not one.in_hand_bytes]:
            del self._accounts[other.key_id, other.day]
        account = self._accounts.setdefault((key_id, day), Account(key_id, day))
        stored = (await asyncio.to_thread(self._read, account.file))[0].uploaded_bytes
        account.stored_bytes = max(account.stored_bytes, stored)
        return account

    def _read(self, name: str) -> tuple[Usage, str | None]:
        found = self._files.read_version(name)
        if not found:
            return Usage(), None
        try:
            return Usage.model_validate_json(found[0]), found[1]
        except ValidationError:  # a count is not worth refusing uploads for the rest of the day
            return Usage(), found[1]

    def _add(self, account: Account, count: int) -> int:
        for _ in range(SWAP_TRIES):
            usage, version = self._read(account.file)
            total = usage.uploaded_bytes + count
            try:
                self._files.put_if(account.file, Usage(uploaded_bytes=total).model_dump_json().encode(), version)
            except Conflict:
                continue
            if version is None:
                self._forget_old_days(account.key_id)
            return total
        raise Conflict(f"the count of key {account.key_id} is changed by others all the time", fix="try again")

    def _forget_old_days(self, key_id: str) -> None:
        oldest = (datetime.now(UTC) - timedelta(days=KEPT_DAYS)).date().isoformat()
        for name in list(self._files.list(f"{USAGE}/{key_id}/")):
            if name.rsplit("/", 1)[1] < oldest:
                self._files.delete(name)


def _uncounted(_: int) -> None:
    """Keys without a quota."""


def _used_up(key_id: str, limit: int) -> LimitReached:
    now = datetime.now(UTC)
    midnight = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    return LimitReached(
        f"this API key may upload {limit} bytes a day (UTC)",
        fix=f"go on tomorrow, or have it raised: c500 keys limit {key_id} --bytes-per-day BYTES",
        limit_bytes=limit,
        retry_after_s=(midnight - now).total_seconds(),
    )
