"""HTTP/1.1 on the wire: what uvicorn leaves open, closed."""

import asyncio
import json
from typing import Any

import h11
from litestar.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from blocks.settings import settings
from deployments.gateway.web.body_timeout import SLOWEST_BYTES_PER_S, patient
from deployments.gateway.web.network import network_of
from deployments.gateway.web.problems import PROBLEM, problem_content

WELL_FORMED = "send well-formed HTTP/1.1"
AMBIGUOUS = "the request has both Content-Length and Transfer-Encoding"

LOOPBACK = "127.0.0.1"
KEPT_FOR_PROBES = 8
"""Connections that only this machine gets: its health is asked for also when all others are taken."""


class Protocol(H11Protocol):
    """uvicorn's protocol with typed answers to malformed requests, and an end to those that never come whole."""

    head_s = 20.0
    """Seconds a client may take for the head of a request."""

    address = ""
    """Of the client; of IPv6 its network."""

    _head_timer: asyncio.TimerHandle | None = None
    _came_bytes = 0
    _drained_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first request, not for ever; turn away who comes when too many are here."""
        super().connection_made(transport)
        self.address = network_of(self.client[0] if self.client else None)
        if self._is_too_many():
            self._refuse(503, "TOO_MANY_CONNECTIONS", "too many connections are open", "close some, then try again")
            return
        self._await_head()

    def data_received(self, data: bytes) -> None:
        """Count, to know who goes on sending."""
        self._came_bytes += len(data)
        super().data_received(data)

    def on_response_complete(self) -> None:
        """Wait for the next request; uvicorn's keep-alive time ends with its first byte."""
        super().on_response_complete()
        self._drained_bytes = 0
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timer."""
        super().connection_lost(exc)
        if self._head_timer:
            self._head_timer.cancel()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP with a problem, as all else."""
        self._refuse(400, "MALFORMED_REQUEST", msg, WELL_FORMED)

    def _refuse(self, status: int, code: str, message: str, fix: str) -> None:
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            body = _problem(status, code, message, fix)
            response = h11.Response(status_code=status, headers=_headers(body))
            for event in (response, h11.Data(data=body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        # Else the answer is on its way already, and the fault lies in the rest of the body.
        self.transport.close()

    def _is_too_many(self) -> bool:
        """Whether all connections that an address may have, or all together, are there without this one."""
        most = settings().max_connections
        same = sum(isinstance(one, Protocol) and one.address == self.address for one in self.connections)
        kept = 0 if self.address == LOOPBACK else KEPT_FOR_PROBES
        return same > most // 2 or len(self.connections) > most - kept

    def _await_head(self) -> None:
        if self._head_timer:
            self._head_timer.cancel()
        self._came_bytes = 0
        self._head_timer = self.loop.call_later(self.head_s, self._close_without_request)

    def _close_without_request(self) -> None:
        cycle: Any = self.cycle
        if self._is_draining():
            self._await_head()
        elif (cycle is None or cycle.response_complete) and not self.transport.is_closing():
            self.transport.close()

    def _is_draining(self) -> bool:
        """Whether the client still sends the body of a request that was answered early, at a rate we bear with.

        Were the line closed, it would see a broken pipe instead of the answer.
        """
        self._drained_bytes += self._came_bytes
        return (
            self.conn.their_state is h11.SEND_BODY
            and self.conn.our_state is h11.DONE
            and self._came_bytes >= SLOWEST_BYTES_PER_S * self.head_s
            and self._drained_bytes <= settings().max_file_size_mb * 1_000_000
        )


def refuse_ambiguous(app: ASGIApp) -> ASGIApp:
    """Answer 400 to a request with two lengths, and close: the next proxy may take the other (RFC 9112, 6.3)."""

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        names = {name for name, _ in scope.get("headers", ())}
        if not {b"content-length", b"transfer-encoding"} <= names:
            await app(scope, receive, send)
            return
        body = _problem(400, "MALFORMED_REQUEST", AMBIGUOUS, WELL_FORMED)
        await send({"type": "http.response.start", "status": 400, "headers": _headers(body)})
        await send({"type": "http.response.body", "body": body, "more_body": False})

    return guarded


def create() -> ASGIApp:
    """The gateway's application as uvicorn serves it."""
    from deployments.gateway.app import create_app
    from deployments.gateway.counters import measured
    from deployments.gateway.web.access_log import logged

    return logged(measured(refuse_ambiguous(patient(create_app()))))


def _problem(status: int, code: str, message: str, fix: str) -> bytes:
    return json.dumps(problem_content(status, code, message, fix=fix)).encode()


def _headers(body: bytes) -> list[tuple[bytes, bytes]]:
    return [
        (b"content-type", PROBLEM.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
