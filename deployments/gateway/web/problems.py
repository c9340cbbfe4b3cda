"""Errors as HTTP answers: RFC 9457 problems that also hold the shape older audio clients read."""

import re
from math import ceil
from typing import Any

import httpx
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException

from blocks.errors import (
    BadAudio,
    BadInput,
    BudgetExceeded,
    C500Error,
    Conflict,
    EngineUnavailable,
    LimitReached,
    NotAllowed,
    NotFound,
    StoreFailed,
    TimedOut,
    TooLarge,
    Unsupported,
)
from deployments.gateway.counters import REFUSED

STATUS: dict[type[C500Error], int] = {
    TooLarge: 413,
    Unsupported: 422,
    NotFound: 404,
    BadAudio: 415,
    BadInput: 422,
    NotAllowed: 403,
    LimitReached: 429,
    BudgetExceeded: 402,
    Conflict: 409,
    TimedOut: 504,
    EngineUnavailable: 503,
    StoreFailed: 507,
}
"""The most particular class counts; an error without a row is our own fault: 500."""

PROBLEM = "application/problem+json"

PREFECT_RETRY_S = 2
"""Seconds after which a client may look whether Prefect is back."""


class Unauthenticated(NotAllowed):
    """No valid key came with the request."""

    code = "UNAUTHORIZED"


class QueueFull(LimitReached):
    """The queue takes no more jobs for the moment. Details: `retry_after_s`."""

    code = "QUEUE_FULL"


class UnsupportedFormat(BadAudio):
    """By its name and type the file is no recording."""

    code = "UNSUPPORTED_FORMAT"


class KeyReused(BadInput):
    """An Idempotency-Key came a second time, with another request."""

    code = "IDEMPOTENCY_KEY_REUSED"


class SlowClient(TimedOut):
    """A request does not come, or comes too slowly."""

    code = "REQUEST_TIMEOUT"


class ClientGone(BadInput):
    """The client went away before all of its request had come; nobody reads the answer."""

    code = "CLIENT_GONE"


STATUS.update({Unauthenticated: 401, SlowClient: 408})

CODES = {"BAD_INPUT": "VALIDATION_ERROR"}
"""Our code to the code older clients know."""


def http_status(error: C500Error) -> int:
    """The HTTP status of an error, by its most particular class."""
    return next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 500)


def problem(
    status: int, code: str, message: str, *, fix: str | None = None, **details: Any
) -> Response[dict[str, Any]]:
    """A problem response.

    Args:
        status: HTTP status.
        code: What programs test for.
        message: One line for people.
        fix: What the caller can do.
        details: More facts; `retry_after_s` also becomes the header `Retry-After`.
    """
    headers = {"Retry-After": str(max(1, ceil(details["retry_after_s"])))} if "retry_after_s" in details else {}
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    content = problem_content(status, code, message, fix=fix, **details)
    return Response(content, status_code=status, media_type=PROBLEM, headers=headers)


def problem_content(status: int, code: str, message: str, *, fix: str | None = None, **details: Any) -> dict[str, Any]:
    """The body of a problem response."""
    return {
        "type": "about:blank",
        "title": code,
        "status": status,
        "detail": message,
        "error": {"code": code, "message": message, "details": details | ({"fix": fix} if fix else {})},
    }


def c500_problem(_: Request[Any, Any, Any], error: C500Error) -> Response[dict[str, Any]]:
    """Answer one of our errors."""
    if isinstance(error, LimitReached):
        REFUSED.labels(error.code).inc()
    details = {name: value for name, value in error.details.items() if name not in ("status", "code", "message", "fix")}
    return problem(http_status(error), CODES.get(error.code, error.code), error.message, fix=error.fix, **details)


def sizes(size_bytes: int, max_bytes: int, filename: str | None = None) -> dict[str, Any]:
    """The details of every FILE_TOO_LARGE; MB are 10^6 bytes."""
    return {
        "file_size_mb": round(size_bytes / 1_000_000, 2),
        "max_size_mb": max_bytes / 1_000_000,
        "filename": filename,
    }


def _body_sizes(request: Request[Any, Any, Any]) -> dict[str, Any]:
    """The sizes of a body that Litestar refuses."""
    max_bytes = request.route_handler.resolve_request_max_body_size() or 0
    announced = request.headers.get("content-length", "")
    return sizes(int(announced) if re.fullmatch(r"[0-9]{1,18}", announced) else max_bytes, max_bytes)


def http_problem(request: Request[Any, Any, Any], error: HTTPException) -> Response[dict[str, Any]]:
    """Answer what Litestar refuses: unknown paths, methods, malformed parameters."""
    if isinstance(error, ValidationException) or error.status_code == 400:
        extra = error.extra or []
        return problem(422, "VALIDATION_ERROR", error.detail, faults=extra)
    if error.status_code == 413:
        return problem(413, "FILE_TOO_LARGE", error.detail, fix="send less", **_body_sizes(request))
    code = {404: "NOT_FOUND", 405: "METHOD_NOT_ALLOWED"}.get(error.status_code, "HTTP_ERROR")
    response = problem(error.status_code, code, error.detail)
    response.headers.update(error.headers or {})
    return response


def unexpected_problem(request: Request[Any, Any, Any], error: Exception) -> Response[dict[str, Any]]:
    """Answer a fault of our own without telling its inner workings."""
    structlog.stdlib.get_logger("c500").error("gateway request failed", path=request.url.path, exc_info=error)
    return problem(500, "INTERNAL_ERROR", "the gateway failed", fix="see the gateway's log, and report it")


def prefect_problem(request: Request[Any, Any, Any], error: httpx.HTTPError) -> Response[dict[str, Any]]:
    """Answer that the Prefect server is away for the moment; what it refuses is a fault of our own."""
    if isinstance(error, httpx.HTTPStatusError) and error.response.status_code < 500:
        return unexpected_problem(request, error)
    said = type(error).__name__
    structlog.stdlib.get_logger("c500").warning("prefect does not answer", path=request.url.path, error=said)
    away = "the Prefect server does not answer"
    return problem(503, "PREFECT_UNAVAILABLE", away, fix="try again in a moment", retry_after_s=PREFECT_RETRY_S)


def depth_problem(_: Request[Any, Any, Any], __: RecursionError) -> Response[dict[str, Any]]:
    """Answer a body of brackets within brackets, at which Litestar's JSON reader gives up."""
    return problem(422, "VALIDATION_ERROR", "the body is nested too deeply", fix="send what the API describes")


HANDLERS: dict[Any, Any] = {
    C500Error: c500_problem,
    RecursionError: depth_problem,
    httpx.HTTPError: prefect_problem,
    HTTPException: http_problem,
    Exception: unexpected_problem,
}
