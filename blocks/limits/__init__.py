"""Limits: so many requests, tokens, calls at once and dollars, for accounts, users, sessions and all together."""

from blocks.errors import BadInput
from blocks.limits.protocol import Limiter, Reseed

SQLITE = "sqlite:///"
REDIS = ("redis://", "rediss://", "unix://")


def open_limiter(url: str, *, reseed: Reseed | None = None) -> Limiter:
    """The limiter that a URL names.

    Args:
        url: `memory://` for one process, with the same books whenever it is opened; `sqlite:///PATH` for those of one
            machine (with a fourth slash for a path from the root); `redis://…`, `rediss://…` or `unix://…` for several
            machines.
        reseed: For Redis, whose books may be lost; see `RedisLimiter`.

    Raises:
        BadInput: the URL is none of these.
        Unsupported: the package redis is not installed.
    """
    if url == "memory://":
        from blocks.limits import memory

        return memory.OF_THIS_PROCESS
    if url.startswith(SQLITE) and len(url) > len(SQLITE):
        from blocks.limits.sqlite import SqliteLimiter

        return SqliteLimiter(url.removeprefix(SQLITE))
    if url.startswith(REDIS):
        from blocks.limits.redis import RedisLimiter

        return RedisLimiter(url, reseed=reseed)
    scheme = url.partition(":")[0]  # only that: a URL may hold a password
    raise BadInput(
        f"there is no limiter for {scheme!r} URLs like this",
        fix="use memory://, sqlite:///PATH or redis://HOST:PORT/0",
        field="url",
    )
