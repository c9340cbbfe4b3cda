"""Calls over HTTP: one client for all accounts, its answers and failures typed."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from blocks.accounts.chat import ChatReply, Headers
from blocks.accounts.dialects.protocol import MALFORMED, Call, Dialect, Piece
from blocks.accounts.failure import Failure

if TYPE_CHECKING:
    import aiohttp

CONNECTIONS = 2_000
CONNECT_S = 10.0
KEEPALIVE_S = 30.0
CHUNK_BYTES = 64 * 1024
LONGEST_BODY_BYTES = 64 * 1024 * 1024
"""No answer of a model is that long; a server that sends more does not fill our memory."""


@dataclass(frozen=True, kw_only=True)
class Response:
    """A reply and the headers it came with."""

    reply: ChatReply
    headers: Headers


class Wire:
    """An HTTP client for all accounts, on aiohttp itself.

    DESIGN §7 has what a call costs with it, with httpx on its transport, and with httpx alone; `python -m tests.bench
    calls` measures it beside httpx. Made and used within one event loop.
    """

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def send(self, dialect: Dialect, call: Call, timeout_s: float) -> Response:
        """Send a call and read its answer.

        Args:
            dialect: How to read it.
            call: The request.
            timeout_s: Longest time for all of it, in seconds.

        Raises:
            Failure: it did not succeed.
        """
        import aiohttp

        try:
            async with self._open().post(
                call.url,
                data=orjson.dumps(call.body),
                headers=_headers(call),
                timeout=aiohttp.ClientTimeout(total=timeout_s, sock_connect=CONNECT_S),
                allow_redirects=False,
            ) as response:
                body = _json(await _body(response))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _broken(error, timeout_s) from None
        if response.status >= 300:
            raise dialect.failure(response.status, response.headers, body)
        try:
            reply = dialect.decode(body)
        except ValueError as error:
            raise Failure(kind="transient", message=str(error), status=response.status, reached=True) from None
        return Response(reply=reply, headers=response.headers)

    @asynccontextmanager
    async def stream(self, dialect: Dialect, call: Call, timeout_s: float) -> AsyncGenerator["Pieces"]:
        """Send a call and read its answer piece by piece; see `send`.

        Args:
            dialect: How to read it.
            call: The request.
            timeout_s: Longest time between two pieces, in seconds.
        """
        import aiohttp

        try:
            async with self._open().post(
                call.url,
                data=orjson.dumps(call.body),
                headers=_headers(call),
                timeout=aiohttp.ClientTimeout(sock_read=timeout_s, sock_connect=CONNECT_S),
                allow_redirects=False,
            ) as response:
                if response.status >= 300:
                    raise dialect.failure(response.status, response.headers, _json(await _body(response)))
                yield Pieces(dialect, response)
        except (aiohttp.ClientError, OSError) as error:
            raise _broken(error, timeout_s) from None

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()

    def _open(self) -> "aiohttp.ClientSession":
        if self._session is None:
            import aiohttp

            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=CONNECTIONS, keepalive_timeout=KEEPALIVE_S),
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
                read_bufsize=CHUNK_BYTES,
            )
        return self._session


class Pieces:
    """The pieces of a streamed answer, in order.

    Attributes:
        headers: Of the response.
    """

    def __init__(self, dialect: Dialect, response: "aiohttp.ClientResponse") -> None:
        self._dialect, self._response = dialect, response
        self.headers: Headers = response.headers

    async def __aiter__(self) -> AsyncGenerator[Piece]:
        """The pieces. Raises `Failure` when they break off."""
        ended = False
        async for data in self._events():
            if data == b"[DONE]":
                return
            event = _json(data)
            if not isinstance(event, dict):
                raise Failure(kind="transient", message="a piece of the answer is no JSON", status=200, reached=True)
            if event.get("error"):  # pyright: ignore[reportUnknownMemberType]
                failure = self._dialect.failure(500, {}, event)
                raise Failure(kind=failure.kind, message=failure.message, status=200, reached=True)
            try:
                piece = self._dialect.piece(event)
            except MALFORMED:
                raise Failure(kind="transient", message="a piece has no known form", status=200, reached=True) from None
            if piece is not None:
                ended = ended or piece.finish_reason is not None
                yield piece
        if not ended:
            raise Failure(kind="transient", message="the answer broke off", status=200, reached=True)

    async def _events(self) -> AsyncGenerator[bytes]:
        """The data of each server-sent event; all our providers send one line for each."""
        left = b""
        async for chunk in self._response.content.iter_any():
            *lines, left = (left + chunk).split(b"\n")
            if len(left) > LONGEST_BODY_BYTES:
                raise Failure(kind="transient", message="a piece of the answer is too long", status=200, reached=True)
            for line in lines:
                if line.startswith(b"data:"):
                    yield line[5:].strip()


def _headers(call: Call) -> dict[str, str]:
    return {"content-type": "application/json", **call.headers}


def _broken(error: Exception, timeout_s: float) -> Failure:
    """A connection that could not be made, or broke: then the model may have answered all the same."""
    import aiohttp

    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.InvalidURL):
        return Failure(kind="transient", message=f"cannot connect: {error}"[:300])
    if isinstance(error, asyncio.TimeoutError):
        return Failure(kind="transient", message=f"no answer within {timeout_s:.0f} s", reached=True)
    return Failure(kind="transient", message=f"{type(error).__name__}: {error}"[:300], reached=True)


async def _body(response: "aiohttp.ClientResponse") -> bytes:
    content = bytearray()
    async for chunk in response.content.iter_any():
        content += chunk
        if len(content) > LONGEST_BODY_BYTES:
            raise Failure(kind="transient", message="the answer is too long", status=response.status, reached=True)
    return bytes(content)


def _json(content: bytes) -> Any:
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        return content.decode(errors="replace")
