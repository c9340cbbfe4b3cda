"""Which limiter a URL names."""

from pathlib import Path

import pytest

from blocks.errors import BadInput
from blocks.limits import open_limiter
from blocks.limits.memory import MemoryLimiter
from blocks.limits.redis import RedisLimiter
from blocks.limits.sqlite import SqliteLimiter
from tests.blocks.limits.worlds import granted, limit, option, refused


async def test_a_url_names_a_limiter(redis_url: str, tmp_path: Path) -> None:
    urls = ["memory://", f"sqlite:///{tmp_path}/limits.db", "sqlite:///here.db", redis_url]
    limiters = [open_limiter(url) for url in urls]
    assert [type(limiter) for limiter in limiters] == [MemoryLimiter, SqliteLimiter, SqliteLimiter, RedisLimiter]
    for limiter in limiters:
        await granted(limiter, option("call", (limit("opened", 5), 1)))
        await limiter.close()
    assert (tmp_path / "limits.db").exists()
    assert Path("here.db").exists()


async def test_the_limits_of_a_process_go_on_when_they_are_opened_again() -> None:
    first = open_limiter("memory://")
    await first.settle(await granted(first, option("call", (limit("requests", 1), 1))))
    await first.close()
    assert (await refused(open_limiter("memory://"), option("call", (limit("requests", 1), 1)))).keys == ("requests",)


@pytest.mark.parametrize(
    "url", ["", "memory", "sqlite:///", "sqlite://host/x", "postgresql://user:hunter2@h/d", "redis:hunter2@h"]
)
def test_another_url_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(BadInput) as caught:
        open_limiter(url)
    assert caught.value.details["field"] == "url"
    assert "hunter2" not in str(caught.value)
