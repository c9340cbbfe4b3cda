"""Work for a client: done for as long as it listens."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable
from contextlib import aclosing
from typing import Any, Generic, TypeVar

from litestar import Request

from deployments.gateway.web.problems import ClientGone

T = TypeVar("T")


async def while_listening(request: Request[Any, Any, Any], work: Awaitable[T]) -> T:
    """The outcome of work, which is cancelled when the client goes away. Call it after the body has been read.

    Raises:
        ClientGone: it went away.
    """
    doing, gone = asyncio.ensure_future(work), asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait((doing, gone), return_when=asyncio.FIRST_COMPLETED)
        if doing.done():
            return doing.result()
    finally:
        for one in (doing, gone):
            one.cancel()
        await asyncio.wait((doing, gone))
    raise ClientGone("the client went away before its answer was ready", fix="send the same again")


async def _gone(request: Request[Any, Any, Any]) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


class Relay(Generic[T]):
    """Runs a generator in one task of its own, whatever task asks for its items.

    The handler waits for the first item and another task sends the rest; timeouts of the generator belong to the task
    that runs it. And a client that reads slowly does not keep the generator, which holds limits, from its end.

    Args:
        source: The generator.
    """

    def __init__(self, source: AsyncGenerator[T]) -> None:
        self._items: asyncio.Queue[T | Exception | None] = asyncio.Queue()
        self._running = asyncio.create_task(self._run(source))

    async def next(self) -> T | None:
        """The next item, None at the end. Raises what the generator raised."""
        item = await self._items.get()
        if isinstance(item, Exception):
            raise item
        return item

    async def close(self) -> None:
        """End the generator where it is."""
        self._running.cancel()
        await asyncio.wait((self._running,))

    async def _run(self, source: AsyncGenerator[T]) -> None:
        try:
            async with aclosing(source):
                async for item in source:
                    self._items.put_nowait(item)
        except Exception as error:  # noqa: BLE001 - raised again by `next`
            self._items.put_nowait(error)
        else:
            self._items.put_nowait(None)
