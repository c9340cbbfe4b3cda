"""HTTP/1.1 on the wire: what uvicorn leaves open, closed."""

import asyncio
import json
from typing import Any

import h11
from litestar.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from deployments.gateway.patience import patient
from deployments.gateway.problems import PROBLEM, problem_content

AMBIGUOUS = "the request has both Content-Length and Transfer-Encoding"


class Protocol(H11Protocol):
    """uvicorn's protocol with typed answers to malformed requests, and an end to those that never come whole."""

    head_s = 20.0
    """Seconds a client may take for the head of a request."""

    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first request, not for ever."""
        super().connection_made(transport)
        self._await_head()

    def on_response_complete(self) -> None:
        """Wait for the next request; uvicorn's keep-alive time ends with its first byte."""
        super().on_response_complete()
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timer."""
        super().connection_lost(exc)
        if self._head_timer:
            self._head_timer.cancel()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP with a problem, as all else."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            body = _malformed(msg)
            response = h11.Response(status_code=400, headers=_headers(body))
            for event in (response, h11.Data(data=body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        # Else the answer is on its way already, and the fault lies in the rest of the body.
        self.transport.close()

    def _await_head(self) -> None:
        if self._head_timer:
            self._head_timer.cancel()
        self._head_timer = self.loop.call_later(self.head_s, self._close_without_request)

    def _close_without_request(self) -> None:
        cycle: Any = self.cycle
        if (cycle is None or cycle.response_complete) and not self.transport.is_closing():
            self.transport.close()


def refuse_ambiguous(app: ASGIApp) -> ASGIApp:
    """Answer 400 to a request with two lengths, and close: the next proxy may take the other (RFC 9112, 6.3)."""

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        names = {name for name, _ in scope.get("headers", ())}
        if not {b"content-length", b"transfer-encoding"} <= names:
            await app(scope, receive, send)
            return
        body = _malformed(AMBIGUOUS)
        await send({"type": "http.response.start", "status": 400, "headers": _headers(body)})
        await send({"type": "http.response.body", "body": body, "more_body": False})

    return guarded


def create() -> ASGIApp:
    """The gateway's application as uvicorn serves it."""
    from deployments.gateway.app import create_app
    from deployments.gateway.counters import measured

    return measured(refuse_ambiguous(patient(create_app())))


def _malformed(message: str) -> bytes:
    return json.dumps(problem_content(400, "MALFORMED_REQUEST", message, fix="send well-formed HTTP/1.1")).encode()


def _headers(body: bytes) -> list[tuple[bytes, bytes]]:
    return [
        (b"content-type", PROBLEM.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
