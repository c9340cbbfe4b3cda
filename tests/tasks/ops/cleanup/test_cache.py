"""Only keys of caches that are expired or orphaned go, in the store and in a real Redis."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from blocks.store import open_store
from blocks.store.local import LocalFiles
from tasks.ops.cleanup.cache import CacheRules, connected, orphaned_keys, remove_keys, remove_results, useless_results
from tests.tasks.ops.cleanup.conftest import DAY_S, aged

NOW = datetime.now(UTC)
RULES = CacheRules()


def store() -> LocalFiles:
    files = open_store()
    assert isinstance(files, LocalFiles)
    return files


def record(name: str, result: Any = None, *, expires_at: datetime | None = None, age_s: float = DAY_S) -> str:
    """A stored result, as Prefect writes it."""
    key = f"results/{name}"
    content = {
        "metadata": {"expiration": expires_at and expires_at.isoformat(), "storage_key": name},
        "result": json.dumps(result),
    }
    store().put_bytes(key, json.dumps(content).encode())
    aged(Path(store().root / key), age_s)
    return key


def ref(key: str) -> dict[str, Any]:
    return {"key": key, "sha256": "0" * 64, "size_bytes": 1}


def test_results_that_expired_or_whose_files_are_gone_go() -> None:
    store().put_bytes("jobs/a/audio.wav", b"x")
    stay = {
        record("whole", ref("jobs/a/audio.wav")),
        record("fileless", {"language": "vi"}),
        record("later", expires_at=NOW + timedelta(hours=1)),
        record("just-written", ref("jobs/b/audio.wav"), age_s=60),
        store().put_bytes("results/damaged", b"{").key,
    }
    orphan = record("orphan", [ref("jobs/a/audio.wav"), {"deep": ref("jobs/gone/audio.wav")}])
    expired = record("expired", expires_at=NOW - timedelta(hours=1))
    found, number = useless_results(store(), NOW)
    assert (found, number) == ({orphan: "orphaned", expired: "expired"}, 7)
    lines = remove_results(store(), found, NOW)
    assert {line["status"] for line in lines} == {"deleted"}
    assert set(store().list("results/")) == stay


def test_a_result_that_is_of_use_again_or_at_work_stays() -> None:
    again, held = record("again", ref("jobs/a/audio.wav")), record("held", ref("jobs/b/audio.wav"))
    found, _ = useless_results(store(), NOW)
    store().put_bytes("jobs/a/audio.wav", b"x")
    with store().lock(held):
        lines = remove_results(store(), found, NOW)
    assert {line["path"]: line["status"] for line in lines} == {again: "changed", held: "changed"}
    assert set(store().list("results/")) == {again, held}


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Any]:
    """An empty database of a real server, and what it was asked."""
    async with connected(redis_url) as client:
        for key in [key async for key in client.scan_iter()]:
            await client.delete(key)
        yield client


async def put(redis: Any, key: str, *, idle_days: float = 30, ttl_ms: int = 0) -> None:
    """A key that was not used for so many days."""
    await redis.set("template", "value")
    dump = await redis.dump("template")
    await redis.execute_command("RESTORE", key, ttl_ms, dump, "REPLACE", "IDLETIME", int(idle_days * DAY_S))
    await redis.delete("template")


async def keys(redis: Any) -> set[str]:
    return {key.decode() async for key in redis.scan_iter()}


async def test_only_orphaned_keys_of_the_cache_go(redis: Any) -> None:
    for number in range(1200):
        await put(redis, f"c500:cache:{number}")
    await put(redis, "c500:cache:used", idle_days=0)
    await put(redis, "c500:cache:expires", ttl_ms=3_600_000)
    await put(redis, "kill_switch:all")
    await put(redis, "{c500:limits}:state")
    await put(redis, "other:cache:1")
    await put(redis, "c500:cache:\n$(touch x)")
    found, number = await orphaned_keys(redis, RULES)
    assert (len(found), number) == (1201, 1203)
    assert all(size_bytes > 0 for size_bytes in found.values())
    lines = await remove_keys(redis, found, RULES)
    assert {line["status"] for line in lines} == {"deleted"}
    left = {"c500:cache:used", "c500:cache:expires", "kill_switch:all", "{c500:limits}:state", "other:cache:1"}
    assert await keys(redis) == left


async def test_what_protected_names_stays_whatever_the_patterns_say(redis: Any) -> None:
    await put(redis, "kill_switch:all")
    await put(redis, "{c500:limits}:state")
    await put(redis, "other")
    found, _ = await orphaned_keys(redis, CacheRules(redis_patterns=("*",)))
    assert set(found) == {b"other"}


async def test_a_key_that_is_used_or_expires_after_the_look_stays(redis: Any) -> None:
    await put(redis, "c500:cache:used")
    await put(redis, "c500:cache:expires")
    found, _ = await orphaned_keys(redis, RULES)
    await redis.get("c500:cache:used")
    await redis.expire("c500:cache:expires", 60)
    lines = await remove_keys(redis, found, RULES)
    assert {line["status"] for line in lines} == {"changed"}
    assert await keys(redis) == {"c500:cache:used", "c500:cache:expires"}


async def test_redis_is_gone_through_by_scan_alone(redis: Any) -> None:
    await put(redis, "c500:cache:1")
    await redis.config_resetstat()
    found, _ = await orphaned_keys(redis, RULES)
    await remove_keys(redis, found, RULES)
    asked = set(await redis.info("commandstats"))
    assert {"cmdstat_scan", "cmdstat_unlink"} <= asked
    assert not asked & {"cmdstat_keys", "cmdstat_flushdb", "cmdstat_flushall", "cmdstat_del"}
