"""Results of steps in the store, and keys in Redis, that are of no use any more: expired, or orphaned."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from pydantic import Field

from blocks.errors import NotFound
from blocks.model import Frozen
from blocks.plain_text import plain
from blocks.steps import RESULTS, files_named_in
from blocks.store.files import Files

YOUNG = timedelta(hours=1)
"""A result whose files are not there may just be written, or its files may be on their way."""

PREFIX = "c500:cache:"
PAGE = 500

Useless = Literal["expired", "orphaned"]

GONE_SCRIPT = """
if redis.call('PTTL', KEYS[1]) ~= -1 then return 0 end
if redis.call('OBJECT', 'IDLETIME', KEYS[1]) < tonumber(ARGV[1]) then return 0 end
return redis.call('UNLINK', KEYS[1])
"""
"""Looks and deletes in one: between a look of ours and a deletion somebody may use the key."""


class CacheRules(Frozen):
    """Which keys of Redis are a cache.

    Attributes:
        redis_patterns: Of keys, as SCAN takes them. Only what is listed is looked at.
        redis_days: Keys that never expire by themselves and were not used for so long are orphaned.
        protected: What keys of these beginnings hold is never touched.
    """

    redis_patterns: tuple[str, ...] = (f"{PREFIX}*",)
    redis_days: float = Field(default=7, ge=0, le=3650)
    protected: tuple[str, ...] = ("kill_switch:", "{c500:limits}:", "prefect:")


def useless(content: bytes, written_at: datetime, files: Files, now: datetime) -> Useless | None:
    """Whether a stored result is of no use, and why; None: it is, or nobody knows.

    Args:
        content: The record, as Prefect wrote it.
        written_at: When.
        files: The store that has the files it names.
        now: The time.
    """
    try:
        record: Any = json.loads(content)
        metadata: Any = record.get("metadata") or {}
        expiration: Any = metadata.get("expiration")
        named = files_named_in(record.get("result"))
        expires_at = datetime.fromisoformat(str(expiration)) if expiration else None
    except (ValueError, AttributeError, TypeError):
        return None
    if expires_at is not None and expires_at <= now:
        return "expired"
    if now - written_at > YOUNG and not all(files.exists(key) for key in named):
        return "orphaned"
    return None


def useless_results(files: Files, now: datetime) -> tuple[dict[str, Useless], int]:
    """Keys of results that are of no use, with why; and how many results there are."""
    found: dict[str, Useless] = {}
    number = 0
    for key in files.list(f"{RESULTS}/"):
        number += 1
        if why := _judged(files, key, now):
            found[key] = why
    return found, number


def remove_results(files: Files, keys: dict[str, Useless], now: datetime) -> list[dict[str, Any]]:
    """Delete results, each under the lock of its step, and only if it is still of no use; a line for each."""
    lines: list[dict[str, Any]] = []
    for key, why in keys.items():
        # Prefect's locks are named by the same keys; see blocks.steps.
        with files.lock(key, wait=False) as free:
            going = free and _judged(files, key, now) is not None
            if going:
                files.delete(key)
        lines.append({"path": key, "status": "deleted" if going else "changed", "why": why})
    return lines


@asynccontextmanager
async def connected(url: str) -> AsyncGenerator[Any]:
    """A client of Redis. Raises `EngineUnavailable` where it does not answer, `Unsupported` without the package."""
    from blocks.errors import EngineUnavailable, Unsupported

    try:
        from redis.asyncio import Redis
        from redis.exceptions import RedisError
    except ImportError as error:
        raise Unsupported("the package redis is not installed", fix="pip install 'c500[redis]'") from error
    client: Any = Redis.from_url(url, socket_connect_timeout=2, socket_timeout=30)  # pyright: ignore[reportUnknownMemberType]
    try:
        yield client
    except (RedisError, OSError) as error:
        raise EngineUnavailable(
            f"Redis does not answer: {type(error).__name__}", fix="see that it runs, and REDIS_URL; or SKIP_CACHE=true"
        ) from error
    finally:
        await client.aclose()


async def orphaned_keys(redis: Any, rules: CacheRules) -> tuple[dict[bytes, int], int]:
    """Orphaned keys of Redis with their bytes there, found by SCAN, and how many keys were looked at."""
    found: dict[bytes, int] = {}
    number = 0
    for pattern in rules.redis_patterns:
        page: list[bytes] = []
        async for key in redis.scan_iter(match=pattern, count=PAGE):
            page.append(key)
            if len(page) >= PAGE:
                found |= await _orphans(redis, page, rules)
                number, page = number + len(page), []
        found |= await _orphans(redis, page, rules)
        number += len(page)
    return found, number


async def remove_keys(redis: Any, keys: dict[bytes, int], rules: CacheRules) -> list[dict[str, Any]]:
    """Delete keys of Redis that are still orphaned, a page at a time; a line for each."""
    lines: list[dict[str, Any]] = []
    names = list(keys)
    for first in range(0, len(names), PAGE):
        page = names[first : first + PAGE]
        pipeline = redis.pipeline(transaction=False)
        for key in page:
            pipeline.eval(GONE_SCRIPT, 1, key, round(rules.redis_days * 86_400))
        answers = await pipeline.execute(raise_on_error=False)
        for key, answer in zip(page, answers, strict=True):
            path, status = _told(key), "deleted" if answer == 1 else "changed"
            lines.append({"path": path, "status": status, "bytes": keys[key], "why": "orphaned"})
    return lines


async def _orphans(redis: Any, keys: list[bytes], rules: CacheRules) -> dict[bytes, int]:
    mine = [key for key in keys if not key.startswith(tuple(one.encode() for one in rules.protected))]
    pipeline = redis.pipeline(transaction=False)
    for key in mine:
        pipeline.pttl(key)
        pipeline.object("IDLETIME", key)
        pipeline.memory_usage(key)
    answers = await pipeline.execute(raise_on_error=False) if mine else []
    found: dict[bytes, int] = {}
    for number, key in enumerate(mine):
        ttl, idle_s, used = answers[number * 3 : number * 3 + 3]
        # With an LFU policy Redis does not know since when a key was not used: then nothing is orphaned.
        if ttl == -1 and isinstance(idle_s, int) and idle_s >= rules.redis_days * 86_400:
            found[key] = used if isinstance(used, int) else 0
    return found


def _judged(files: Files, key: str, now: datetime) -> Useless | None:
    try:
        return useless(files.read_bytes(key), files.modified(key), files, now)
    except NotFound:
        return None


def _told(key: bytes) -> str:
    return plain(key.decode(errors="backslashreplace"))


def utc(seconds: float) -> datetime:
    """A moment, in UTC."""
    return datetime.fromtimestamp(seconds, UTC)
