"""Switches of several machines, as Redis keys: `SET kill_switch:all 1` stops every agent that looks there."""

from asyncio import AbstractEventLoop, get_running_loop
from collections.abc import Collection, Generator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from weakref import WeakKeyDictionary

from blocks.errors import BadInput, StoreFailed, Unsupported
from blocks.switches.switch import SCOPES, Run, Scope, Switch, checked, read_switch, spoken_of

PREFIX = "kill_switch:"
CONNECT_S = 0.5
ANSWER_S = 0.5
FIRST_RETRY_S, LAST_RETRY_S = 0.05, 0.2
RETRIES = 3
"""Broken connections are tried again for a third of a second: a restart of Redis should not stop every agent."""


class RedisSwitches:
    """The keys `kill_switch:all`, `kill_switch:agent:NAME` and `kill_switch:run:ID`; one that is there stops.

    Its value does not matter, nor its type: also `0` stops. While Redis does not answer, all are stopped. Redis must
    persist its data and evict no keys, else a stop is lost with them.

    Args:
        url: `redis://`, `rediss://` or `unix://`.

    Raises:
        Unsupported: the package redis is not installed.
        BadInput: the URL is none of Redis.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._clients: WeakKeyDictionary[AbstractEventLoop, Any] = WeakKeyDictionary()
        with self._connected():
            pass

    def set(self, switch: Switch) -> None:
        """See `Switches`."""
        with self._connected() as redis:
            redis.set(_key(switch.scope, checked(switch.scope, switch.name)), switch.model_dump_json())

    def clear(self, scope: Scope, name: str = "") -> Switch | None:
        """See `Switches`."""
        key = _key(scope, checked(scope, name))
        with self._connected() as redis:
            present, content = _answers(redis, [key])[0]
            redis.delete(key)
        return _switch(scope, name, content) if present else None

    def list(self) -> tuple[Switch, ...]:
        """See `Switches`."""
        with self._connected() as redis:
            keys = sorted(key.decode(errors="replace") for key in redis.scan_iter(match=f"{PREFIX}*"))
            answers = _answers(redis, keys)
        found = [(_place(key), content) for key, (present, content) in zip(keys, answers, strict=True) if present]
        return tuple(_switch(*place, content) for place, content in found if place)

    async def look(self, runs: Collection[Run]) -> Mapping[Run, Switch]:
        """See `Switches`."""
        from redis.exceptions import RedisError

        heeded = spoken_of(runs)
        places = sorted({place for places in heeded.values() for place in places})
        try:
            pipeline = _ask(self._client(), [_key(*place) for place in places])
            answers = _paired(await pipeline.execute(raise_on_error=False))
        except (RedisError, OSError) as error:
            away = Switch(scope="all", by="c500", at=datetime.now(UTC), reason=_failed(error).message, away=True)
            return dict.fromkeys(heeded, away)
        found = {
            place: _switch(*place, content) for place, (there, content) in zip(places, answers, strict=True) if there
        }
        first = {run: next((found[one] for one in heeded[run] if one in found), None) for run in heeded}
        return {run: switch for run, switch in first.items() if switch}

    async def stopped(self, agent: str, run_id: str) -> Switch | None:
        """See `Switches`."""
        return (await self.look([(agent, run_id)])).get((agent, run_id))

    async def close(self) -> None:
        """Let go of the connections of this event loop."""
        if client := self._clients.pop(get_running_loop(), None):
            await client.aclose()

    def _client(self) -> Any:
        """Of this event loop: its connections are of no use to another."""
        loop = get_running_loop()
        if loop not in self._clients:
            from redis.asyncio import Redis
            from redis.asyncio.retry import Retry

            self._clients[loop] = Redis.from_url(self._url, **_manner(Retry))
        return self._clients[loop]

    @contextmanager
    def _connected(self) -> Generator[Any]:
        try:
            from redis import Redis
            from redis.exceptions import RedisError
            from redis.retry import Retry
        except ImportError:
            raise Unsupported("switches in Redis need the package redis", fix="pip install 'c500[redis]'") from None
        try:
            client = Redis.from_url(self._url, **_manner(Retry))
        except ValueError:
            raise BadInput(
                "SWITCHES_URL is no URL of Redis", fix="use redis://HOST:PORT/0", field="switches_url"
            ) from None
        try:
            yield client
        except (RedisError, OSError) as error:
            raise _failed(error) from error
        finally:
            client.close()


def _manner(retry: Any) -> dict[str, Any]:
    """How Redis is spoken to. Protocol 2: with 3, redis-py 8 does not look whether a connection is still open."""
    from redis.backoff import ExponentialBackoff
    from redis.exceptions import ConnectionError as Disconnected

    return {
        "protocol": 2,
        "socket_connect_timeout": CONNECT_S,
        "socket_timeout": ANSWER_S,
        "retry": retry(ExponentialBackoff(LAST_RETRY_S, FIRST_RETRY_S), RETRIES, supported_errors=(Disconnected,)),
    }


def _ask(redis: Any, keys: Collection[str]) -> Any:
    """One exchange for all keys. EXISTS, since GET knows texts only: a list or a set under the key stops too."""
    pipeline = redis.pipeline(transaction=False)
    for key in keys:
        pipeline.exists(key)
        pipeline.get(key)
    return pipeline


def _answers(redis: Any, keys: Collection[str]) -> list[tuple[bool, bytes]]:
    return _paired(_ask(redis, keys).execute(raise_on_error=False)) if keys else []


def _paired(answers: list[Any]) -> list[tuple[bool, bytes]]:
    """For each key, whether it is there and what it holds.

    Raises:
        RedisError: Redis said something else than whether a key is there.
    """
    for answer in answers[::2]:
        if isinstance(answer, Exception):
            raise answer
    contents = (content if isinstance(content, bytes) else b"" for content in answers[1::2])
    return [(bool(there), content) for there, content in zip(answers[::2], contents, strict=True)]


def _key(scope: Scope, name: str) -> str:
    return f"{PREFIX}{scope}:{name}" if name else f"{PREFIX}{scope}"


def _place(key: str) -> tuple[Scope, str] | None:
    """What a key stops; None for one that stops nothing."""
    scope, _, name = key.removeprefix(PREFIX).partition(":")
    for known in SCOPES:
        if scope == known and (known == "all") == (name == ""):
            return known, name
    return None


def _switch(scope: Scope, name: str, content: bytes) -> Switch:
    return read_switch(scope, name, content, Switch(scope=scope, name=name, by="redis"))


def _failed(error: Exception) -> StoreFailed:
    return StoreFailed(
        f"the stop switches in Redis cannot be used: {error}",
        fix="start Redis, or look at its log; agents stay stopped until then",
    )
