"""Runs `redis.lua`: what is asked at the same time goes in one call, and is answered one by one."""

import asyncio
import json
from collections import deque
from importlib.resources import files
from typing import Any

from blocks.errors import EngineUnavailable, Unsupported

Operation = list[Any]
"""Name and arguments of an operation of the script."""

Answer = list[str]

Asked = tuple[Operation, asyncio.Future[Answer]]

BATCH = 32
"""The most operations in one call: Redis serves nobody else meanwhile, 2 to 4 ms."""

CONNECT_S = 2.0
ANSWER_S = 5.0


class Script:
    """The script on one Redis server; of one event loop.

    A batch is under way at a time, and the next gathers meanwhile: the busier Redis is, the less each operation costs.
    When the connection broke, a call is tried once more, with another connection. The call before may have been worked
    off: then more is held or counted than was used, never less. Slow answers are not asked for again.

    Args:
        url: `redis://`, `rediss://` or `unix://`.
        key: Of the books as a whole.
        can_seed: Whether operations may be answered with `seed`.

    Raises:
        Unsupported: the package redis is not installed.
    """

    def __init__(self, url: str, key: str, *, can_seed: bool) -> None:
        try:
            from redis.asyncio import Redis
            from redis.asyncio.retry import Retry
            from redis.backoff import NoBackoff
            from redis.exceptions import ConnectionError as Disconnected
        except ImportError:
            raise Unsupported("the limiter needs the package redis", fix="pip install 'c500[redis]'") from None
        # Protocol 2: with 3, redis-py 8 does not look whether a connection from its pool is still open.
        self._redis = Redis.from_url(
            url,
            protocol=2,
            decode_responses=True,
            socket_connect_timeout=CONNECT_S,
            socket_timeout=ANSWER_S,
            retry=Retry(NoBackoff(), 1, supported_errors=(Disconnected,)),
        )
        self._key, self._can_seed = key, can_seed
        self._source = files("blocks.limits").joinpath("redis.lua").read_text()
        self._sha = ""
        self._waiting: deque[Asked] = deque()
        self._sending: asyncio.Task[None] | None = None
        self.epoch = ""
        """Of the books, as last seen; another one means that they may have been lost in between."""
        self.longest_lease_s = 0.0
        self.fixed_time_s: float | None = None
        """Instead of the server's clock, for tests."""

    def ask(self, operation: Operation) -> asyncio.Future[Answer]:
        """Have an operation worked off; the future gets its answer, or `EngineUnavailable`."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((operation, future))
        if self._sending is None or self._sending.done():
            self._sending = asyncio.create_task(self._send())
        return future

    async def close(self) -> None:
        """Wait for what is under way and close the connection."""
        while self._sending is not None and not self._sending.done():  # again for what cancelled callers give back
            await self._sending
        await self._redis.aclose()

    async def _send(self) -> None:
        from redis.exceptions import RedisError

        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
            try:
                self.epoch, *answers = await self._run([operation for operation, _ in batch])
            except (RedisError, OSError) as error:
                # Those who wait behind too: else each batch of them would wait for ANSWER_S.
                _fail([*batch, *self._waiting], _unavailable(error))
                self._waiting.clear()
            except Exception as error:  # noqa: BLE001 - the callers get it; else they would wait for ever
                _fail(batch, error)
            else:
                for (_, future), answer in zip(batch, answers, strict=True):
                    if not future.done():
                        future.set_result(answer)

    async def _run(self, operations: list[Operation]) -> Any:
        """One call of the script."""
        from redis.exceptions import NoScriptError

        time_s = "" if self.fixed_time_s is None else repr(self.fixed_time_s)
        seeds = "1" if self._can_seed else ""
        arguments = (1, self._key, self.epoch, repr(self.longest_lease_s), seeds, time_s, json.dumps(operations))
        try:
            if self._sha:
                return await self._redis.evalsha(self._sha, *arguments)
        except NoScriptError:
            pass  # a server that was restarted; nothing has been worked off
        self._sha = await self._redis.script_load(self._source)
        return await self._redis.evalsha(self._sha, *arguments)


def _fail(asked: list[Asked], error: Exception) -> None:
    for _, future in asked:
        if not future.done():
            future.set_exception(error)


def _unavailable(error: Exception) -> EngineUnavailable:
    return EngineUnavailable(
        f"the limiter's Redis cannot be used: {error}",
        fix="start Redis, or look at its log; calls are refused until then",
    )
