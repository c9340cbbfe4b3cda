"""How long the gateway waits for the body of a request: clients that hardly send hold nothing up for long."""

import asyncio
import time

from litestar.types import ASGIApp, HTTPReceiveMessage, Receive, Scope, Send

from blocks.settings import settings
from deployments.gateway.web.problems import ClientGone, SlowClient

SLOWEST_BYTES_PER_S = 1000
"""A tenth of what a poor mobile line brings: 16 kbit/s would do for speech as it is spoken."""


def patient(app: ASGIApp) -> ASGIApp:
    """The application, with an end to bodies that do not come.

    A handler that reads the body then gets `SlowClient` (408) or, when the client has left, `ClientGone`.
    """

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        body = scope["type"] == "http" and _has_body(scope)
        await app(scope, Body(receive).receive if body else receive, send)

    return guarded


def _has_body(scope: Scope) -> bool:
    headers = dict(scope["headers"])
    return b"transfer-encoding" in headers or headers.get(b"content-length", b"0") != b"0"


class Body:
    """A body that is being received. Only the time in which the application waits for it counts.

    Args:
        receive: ASGI's.
    """

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._idle_s = settings().client_idle_s
        self._waited_s = 0.0
        self._came_bytes = 0
        self._whole = False

    async def receive(self) -> HTTPReceiveMessage:
        """The next message. Raises `SlowClient`, `ClientGone`."""
        if self._whole:
            return await self._next()
        message = await self._in_time()
        if message["type"] == "http.disconnect":
            raise ClientGone("the client went away before all of the request had come", fix="send it again")
        self._came_bytes += len(message["body"])
        self._whole = not message.get("more_body", False)
        return message

    async def _in_time(self) -> HTTPReceiveMessage:
        earned_s = self._idle_s + self._came_bytes / SLOWEST_BYTES_PER_S
        began = time.monotonic()
        try:
            async with asyncio.timeout(min(self._idle_s, max(0.0, earned_s - self._waited_s))):
                return await self._next()
        except TimeoutError as error:
            raise SlowClient(
                f"the request came too slowly: {self._came_bytes} bytes, then nothing for too long",
                fix=f"send without pauses over {self._idle_s:g} s and at {SLOWEST_BYTES_PER_S} bytes/s at least",
            ) from error
        finally:
            self._waited_s += time.monotonic() - began

    async def _next(self) -> HTTPReceiveMessage:
        return await self._receive()  # pyright: ignore[reportReturnType] - an HTTP request has no other messages
