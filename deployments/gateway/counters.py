"""What the gateway counts and measures; `metrics` shows it."""

import time

from litestar.types import ASGIApp, Message, Receive, Scope, Send
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

REGISTRY = CollectorRegistry()

REQUESTS = Counter("c500_http_requests", "HTTP requests answered.", ["route", "method", "status"], registry=REGISTRY)
SECONDS = Histogram(
    "c500_http_request_seconds",
    "Seconds from the request to the first byte of its answer.",
    ["route", "method"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
    registry=REGISTRY,
)
IN_HAND = Gauge("c500_http_requests_in_hand", "HTTP requests not answered whole yet.", registry=REGISTRY)
UPLOADED = Counter("c500_upload_bytes", "Bytes of recordings received.", registry=REGISTRY)
SUBMITTED = Counter("c500_jobs_submitted", "Jobs accepted.", ["flow"], registry=REGISTRY)
REFUSED = Counter("c500_requests_refused", "Requests refused by a limit or a full queue.", ["code"], registry=REGISTRY)
AUTH_FAILURES = Counter("c500_auth_failures", "Requests with a wrong API key.", registry=REGISTRY)
QUEUE = Gauge("c500_queue_depth", "Jobs that wait for a worker.", registry=REGISTRY)
JOBS = Gauge("c500_jobs", "Jobs that Prefect knows, by the state of their run.", ["state"], registry=REGISTRY)
WORKERS = Gauge("c500_workers_online", "Workers whose heartbeat is fresh.", registry=REGISTRY)
PREFECT_UP = Gauge("c500_prefect_up", "Whether the Prefect server answers.", registry=REGISTRY)
RSS = Gauge("c500_gateway_resident_memory_bytes", "Resident memory of the gateway.", registry=REGISTRY)

LLM_REFUSED = Counter(
    "c500_llm_refused", "Chat completions this gateway refused by a limit or a budget.", ["code"], registry=REGISTRY
)
LLM_WAITED = Histogram(
    "c500_llm_wait_seconds",
    "Seconds that chat completions of this gateway waited for limits.",
    buckets=(0.01, 0.1, 0.5, 1, 5, 10, 30, 60, 300),
    registry=REGISTRY,
)

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
