"""Frames over a plain WebSocket, as II-Agent spoke it from July 2025 on."""

import asyncio
import json
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from blocks.errors import EngineUnavailable, NotAllowed, Unsupported
from blocks.iiagent.events import Frame
from blocks.iiagent.json_text import read_json
from blocks.iiagent.server import AgentServer
from blocks.iiagent.transport import Lost, Received
from blocks.pinned_http import trusted_certificates

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection
    from websockets.exceptions import ConnectionClosed

PING_EVERY_S = 20
PING_TIMEOUT_S = 180
"""A server that summarises answers no ping meanwhile: with the library's own 20 s the run was cancelled (measured)."""

CLOSE_S = 2
LONGEST_REASON = 200


class WebSocketTransport:
    """A WebSocket. See `AgentTransport`.

    Args:
        server: Where.
        headers: Of the opening request.
    """

    def __init__(self, server: AgentServer, headers: Mapping[str, str]) -> None:
        self._server, self._headers = server, dict(headers)
        self._socket: ClientConnection | None = None

    async def connect(self, *, device_id: str, session_id: str | None) -> None:
        from websockets.asyncio.client import connect
        from websockets.exceptions import InvalidHandshake, InvalidStatus

        query = {"device_id": device_id} | ({} if session_id is None else {"session_uuid": session_id})
        limits, url = self._server.limits, self._server.socket_url
        refused = 0
        try:
            connecting = connect(
                f"{url}?{urlencode(query)}",
                additional_headers=self._headers,
                proxy=None,
                ssl=trusted_certificates() if url.startswith("wss:") else None,
                open_timeout=limits.connect_s,
                close_timeout=CLOSE_S,
                ping_interval=PING_EVERY_S,
                ping_timeout=PING_TIMEOUT_S,
                max_size=limits.frame_bytes,
            )
            # A redirection would take the headers' secrets to whoever it names.
            connecting.process_redirect = _as_it_is
            self._socket = await connecting
            return
        except InvalidStatus as error:
            refused = error.response.status_code
            problem = f"answers {refused}"
        except (InvalidHandshake, OSError, TimeoutError, EOFError) as error:
            problem = f"cannot be reached: {str(error)[:LONGEST_REASON] or type(error).__name__}"
        raise self._refusal(refused, f"the agent server {self._server.name} {problem}")

    async def send(self, frame: Frame) -> None:
        from websockets.exceptions import ConnectionClosed

        dead_after_s = self._server.limits.dead_after_s
        try:
            # A server that stands still takes no more than the buffers on the way, and the library waits for ever.
            async with asyncio.timeout(dead_after_s):
                await self._open().send(json.dumps(frame, ensure_ascii=False))
        except ConnectionClosed as error:
            raise _lost(error) from None
        except TimeoutError:
            raise Lost(f"the server took no frame for {dead_after_s:g} s") from None

    async def receive(self) -> Received:
        from websockets.exceptions import ConnectionClosed

        try:
            text = await self._open().recv()
        except ConnectionClosed as error:
            raise _lost(error) from None
        size = len(text) if isinstance(text, bytes) else len(text.encode("utf-8", "replace"))
        frame: Any = str(text)
        with suppress(ValueError):
            frame = read_json(text)
        return Received(frame, size)

    async def close(self) -> None:
        socket, self._socket = self._socket, None
        if socket is not None:
            try:
                with suppress(OSError, TimeoutError):
                    async with asyncio.timeout(2 * CLOSE_S):  # a server that reads nothing takes no farewell either
                        await socket.close()
            finally:
                socket.transport.abort()

    def _open(self) -> "ClientConnection":
        if self._socket is None:
            raise Lost("the connection was closed", ours=True)
        return self._socket

    def _refusal(self, status: int, problem: str) -> EngineUnavailable | NotAllowed | Unsupported:
        field = f"servers.{self._server.name}"
        if status in (401, 403):
            fix = "look at the server's headers; it also refuses so where it has no /ws"
            return NotAllowed(problem, fix=fix, field=f"{field}.headers")
        if 300 <= status < 500 and status not in (408, 429):
            return Unsupported(
                f"{problem} to {self._server.socket_url}", fix="look at base_url and flavor", field=field
            )
        return EngineUnavailable(problem, fix="look whether the agent server runs", field=field)


def _as_it_is(exc: Exception) -> Exception:
    return exc


def _lost(error: "ConnectionClosed") -> Lost:
    first = error.rcvd if error.rcvd_then_sent in (None, True) and error.rcvd else (error.sent or error.rcvd)
    if first is None:
        return Lost("the connection broke")
    return Lost(first.reason[:LONGEST_REASON] or "it was closed", first.code, ours=first is error.sent)
