"""Calls over HTTP: one client for all accounts, its answers and failures typed."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import orjson

from blocks.accounts.chat import ChatReply, Headers
from blocks.accounts.dialects.protocol import MALFORMED, Call, Dialect, Piece
from blocks.accounts.dialects.refusals import without
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
                data=call.content,
                headers=_headers(call),
                timeout=aiohttp.ClientTimeout(total=timeout_s, sock_connect=CONNECT_S),
                allow_redirects=False,
            ) as response:
                body = _json(await _body(response))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _broken(error, timeout_s, call.secret) from None
        if response.status >= 300:
            raise dialect.failure(response.status, response.headers, without(body, call.secret))
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
                data=call.content,
                headers=_headers(call),
                timeout=aiohttp.ClientTimeout(sock_read=timeout_s, sock_connect=CONNECT_S),
                allow_redirects=False,
            ) as response:
                if response.status >= 300:
                    body = without(_json(await _body(response)), call.secret)
                    raise dialect.failure(response.status, response.headers, body)
                yield Pieces(dialect, response, call.secret)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _broken(error, timeout_s, call.secret) from None

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

    def __init__(self, dialect: Dialect, response: "aiohttp.ClientResponse", secret: str) -> None:
        self._dialect, self._response, self._secret = dialect, response, secret
        self.headers: Headers = response.headers

    async def __aiter__(self) -> AsyncGenerator[Piece]:
        """The pieces. Raises `Failure` when they break off."""
        ended, numbers = False, _Numbers()
        async for data in self._events():
            if data == b"[DONE]":
                return
            event = _json(data)
            if not isinstance(event, dict):
                raise Failure(kind="transient", message="a piece of the answer is no JSON", status=200, reached=True)
            if event.get("error"):  # pyright: ignore[reportUnknownMemberType]
                failure = self._dialect.failure(500, {}, without(event, self._secret))
                raise Failure(kind=failure.kind, message=failure.message, status=200, reached=True)
            try:
                piece = numbers.put_on(self._dialect.piece(event))
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


@dataclass
class _Numbers:
    """Counts the tool calls of an answer from 0, whatever the provider counts: some give each call the index 0."""

    _by_index: dict[int, int] = field(default_factory=dict[int, int])
    _by_id: dict[str, int] = field(default_factory=dict[str, int])
    _count: int = 0

    def put_on(self, piece: Piece | None) -> Piece | None:
        """The piece with our numbers, and with the reason why an answer with tool calls ends."""
        if piece is None or not (piece.tool_calls or (self._count and piece.finish_reason == "stop")):
            return piece
        calls = tuple({**delta, "index": self._number(delta)} for delta in piece.tool_calls)
        reason = "tool_calls" if piece.finish_reason == "stop" else piece.finish_reason
        return replace(piece, tool_calls=calls, finish_reason=reason)

    def _number(self, delta: dict[str, Any]) -> int:
        """A new id begins a new call; a part without one belongs to the call that last had its index."""
        index, call_id = delta.get("index") or 0, delta.get("id") or ""
        known = self._by_id.get(call_id) if call_id else self._by_index.get(index)
        number = self._count if known is None else known
        self._count = max(self._count, number + 1)
        self._by_index[index] = number
        if call_id:
            self._by_id[call_id] = number
        return number


def _headers(call: Call) -> dict[str, str]:
    return {"content-type": "application/json", **call.headers}


def _broken(error: Exception, timeout_s: float, secret: str) -> Failure:
    """A connection that could not be made, or broke: then the model may have answered all the same."""
    import aiohttp

    told = without(str(error), secret)
    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.InvalidURL):
        return Failure(kind="transient", message=f"cannot connect: {told}"[:300])
    if isinstance(error, asyncio.TimeoutError):
        return Failure(kind="transient", message=f"no answer within {timeout_s:.0f} s", reached=True)
    return Failure(kind="transient", message=f"{type(error).__name__}: {told}"[:300], reached=True)


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
