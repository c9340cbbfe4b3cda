"""Who asked the gateway for what: one line of the log for each request."""

import time

import structlog
from litestar.types import ASGIApp, Message, Receive, Scope, Send

QUIET = frozenset(("/health", "/health/live", "/health/ready", "/metrics"))
"""Asked for every few seconds by what watches the gateway."""


def logged(app: ASGIApp) -> ASGIApp:
    """An ASGI application that logs its requests: whose key, what, how it ended; no query, no content."""

    async def logging(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in QUIET:
            await app(scope, receive, send)
            return
        begun = time.perf_counter()
        status, sent_bytes, whole = None, 0, False

        async def sending(message: Message) -> None:
            nonlocal status, sent_bytes, whole
            if message["type"] == "http.response.start":
                status = message["status"]
            elif message["type"] == "http.response.body":
                sent_bytes += len(message.get("body", b""))
                whole = not message.get("more_body")
            await send(message)

        try:
            await app(scope, receive, sending)
        finally:
            key, client = scope.get("auth"), scope.get("client")
            structlog.stdlib.get_logger("c500").info(
                "request",
                method=scope["method"],
                path=scope["path"],
                status=status,
                whole=whole,
                seconds=round(time.perf_counter() - begun, 4),
                sent_bytes=sent_bytes,
                key_id=getattr(key, "key_id", None),
                address=client[0] if client else None,
            )

    return logging
