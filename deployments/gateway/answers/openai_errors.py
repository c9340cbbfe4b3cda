"""Errors in the form of OpenAI's API, for the routes that its clients call."""

from dataclasses import dataclass
from math import ceil
from typing import Any

import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException

from blocks.errors import (
    BadInput,
    BudgetExceeded,
    C500Error,
    EngineFailed,
    EngineUnavailable,
    LimitReached,
    NotAllowed,
    TimedOut,
    TooLarge,
    Unsupported,
)
from blocks.keys import ApiKey
from deployments.gateway.counters import LLM_REFUSED
from deployments.gateway.web.problems import Unauthenticated, http_status

INVALID = "invalid_request_error"


@dataclass(frozen=True)
class Form:
    """How a kind of error is told: HTTP status, OpenAI's type and code."""

    status: int
    kind: str
    code: str | None


FORMS: dict[type[C500Error], Form] = {
    Unauthenticated: Form(401, INVALID, "invalid_api_key"),
    NotAllowed: Form(403, INVALID, "insufficient_permissions"),
    Unsupported: Form(404, INVALID, "model_not_found"),
    TooLarge: Form(400, INVALID, "context_length_exceeded"),
    BadInput: Form(400, INVALID, None),
    EngineFailed: Form(400, INVALID, "content_policy_violation"),
    BudgetExceeded: Form(429, "insufficient_quota", "insufficient_quota"),
    LimitReached: Form(429, "rate_limit_error", "rate_limit_exceeded"),
    TimedOut: Form(504, "server_error", "timeout"),
    EngineUnavailable: Form(503, "service_unavailable_error", "service_unavailable"),
}
"""The most particular class counts; an error without a row is our own fault."""

BAD_GATEWAY = Form(502, "server_error", "provider_error")
"""Providers were called, and failed."""

FINAL = (BudgetExceeded, EngineFailed)
"""Errors that the same request meets again; OpenAI's client would repeat it."""

PLAIN: dict[type[C500Error], str] = {
    TimedOut: "no answer came in time",
    EngineUnavailable: "no account of this service could answer",
}
"""What is told instead of the message to keys that are no administrator's: it may name accounts and their keys."""

NAMING = {"accounts", "failures"}
"""Details of errors whose message names accounts."""


def form_of(error: C500Error) -> Form:
    """How an error is told."""
    form = next((FORMS[kind] for kind in type(error).__mro__ if kind in FORMS), None)
    if form is None:
        return Form(http_status(error), "server_error", error.code.lower())
    return BAD_GATEWAY if isinstance(error, EngineUnavailable) and error.details.get("failures") else form


def error_body(error: C500Error, key: ApiKey | None) -> dict[str, Any]:
    """The body of an error, as a key is shown it."""
    form = form_of(error)
    told = error.message if key is not None and key.may("admin") else _plain(error)
    param = error.details.get("field")
    return _body(f"{told}; {error.fix}", form.kind, form.code, param if isinstance(param, str) else None)


def c500_error(request: Request[Any, Any, Any], error: C500Error) -> Response[dict[str, Any]]:
    """Answer one of our errors."""
    form, headers = form_of(error), dict[str, str]()
    if form.status == 429:
        LLM_REFUSED.labels(form.code).inc()
    if form.status >= 500:
        log = structlog.stdlib.get_logger("c500")
        log.warning(
            "chat completion failed", code=error.code, error=error.message, failures=error.details.get("failures")
        )
    if (wait_s := error.details.get("retry_after_s")) is not None:
        headers["Retry-After"] = str(max(1, ceil(wait_s)))
    if isinstance(error, FINAL):
        headers["x-should-retry"] = "false"
    if form.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return Response(error_body(error, request.scope.get("auth")), status_code=form.status, headers=headers)


def http_error(_: Request[Any, Any, Any], error: HTTPException) -> Response[dict[str, Any]]:
    """Answer what Litestar refuses, as a body that is too large."""
    return Response(_body(error.detail, INVALID, None, None), status_code=error.status_code)


def unexpected_error(request: Request[Any, Any, Any], error: Exception) -> Response[dict[str, Any]]:
    """Answer a fault of our own without telling its inner workings."""
    structlog.stdlib.get_logger("c500").error("gateway request failed", path=request.url.path, exc_info=error)
    return Response(_body("the gateway failed", "server_error", "internal_error", None), status_code=500)


def _plain(error: C500Error) -> str:
    """The message without names of accounts."""
    for kind, message in PLAIN.items():
        if isinstance(error, kind) and not NAMING.isdisjoint(error.details):
            return message
    message = error.message
    for told in error.details.get("failures") or ():
        message = message.replace(f"{told.partition(': ')[0]}: ", "")
    for key in error.details.get("limits") or ():
        message = message.replace(key, key.rsplit("/", 1)[-1])
    return message


def _body(message: str, kind: str, code: str | None, param: str | None) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


HANDLERS: dict[Any, Any] = {
    C500Error: c500_error,
    HTTPException: http_error,
    Exception: unexpected_error,
}
