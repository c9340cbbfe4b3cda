"""What the gateway counts and measures itself; `metrics` shows it."""

import time

from litestar.types import ASGIApp, Message, Receive, Scope, Send
from prometheus_client import CollectorRegistry

from deployments.gateway.metrics.families import counter, gauge, histogram

REGISTRY = CollectorRegistry()

REQUESTS = counter("c500_http_requests_total", REGISTRY)
SECONDS = histogram("c500_http_request_seconds", REGISTRY)
IN_HAND = gauge("c500_http_requests_in_hand", REGISTRY)
UPLOADED = counter("c500_http_upload_bytes_total", REGISTRY)
REFUSED = counter("c500_http_refusals_total", REGISTRY)
AUTH_FAILURES = counter("c500_http_auth_failures_total", REGISTRY)
SUBMITTED = counter("c500_job_submissions_total", REGISTRY)
LLM_REFUSED = counter("c500_llm_refusals_total", REGISTRY)
LLM_WAITED = histogram("c500_llm_wait_seconds", REGISTRY)

METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
NO_ROUTE = "none"


def measured(app: ASGIApp) -> ASGIApp:
    """An ASGI application that counts and times its requests."""

    async def measuring(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        begun = time.perf_counter()

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                _count(scope, message["status"], time.perf_counter() - begun)
            await send(message)

        with IN_HAND.track_inprogress():
            await app(scope, receive, sending)

    return measuring


def _count(scope: Scope, status: int, seconds: float) -> None:
    # The router's template, never the path: every path anyone thinks of would become a time series.
    route = str(scope.get("path_template") or NO_ROUTE)
    method = str(scope.get("method"))
    method = method if method in METHODS else "OTHER"
    REQUESTS.labels(route, method, str(status)).inc()
    SECONDS.labels(route, method).observe(seconds)
