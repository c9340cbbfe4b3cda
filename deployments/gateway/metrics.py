"""`/metrics`: what the gateway counts and measures, for Prometheus."""

import time
from typing import Any

import psutil
from litestar import MediaType, Request, Response, get
from litestar.openapi.datastructures import ResponseSpec
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from deployments.gateway.auth import OPEN, require
from deployments.gateway.load import Load

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
REFUSED = Counter("c500_jobs_refused", "Submissions refused.", ["code"], registry=REGISTRY)
AUTH_FAILURES = Counter("c500_auth_failures", "Requests with a wrong API key.", registry=REGISTRY)
QUEUE = Gauge("c500_queue_depth", "Jobs that wait for a worker.", registry=REGISTRY)
JOBS = Gauge("c500_jobs", "Jobs that Prefect knows, by the state of their run.", ["state"], registry=REGISTRY)
WORKERS = Gauge("c500_workers_online", "Workers whose heartbeat is fresh.", registry=REGISTRY)
PREFECT_UP = Gauge("c500_prefect_up", "Whether the Prefect server answers.", registry=REGISTRY)
RSS = Gauge("c500_gateway_resident_memory_bytes", "Resident memory of the gateway.", registry=REGISTRY)

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


@get(
    "/metrics",
    opt=OPEN,
    media_type=MediaType.TEXT,
    operation_id="readMetrics",
    summary="Metrics for Prometheus",
    responses={200: ResponseSpec(str, media_type="text/plain", generate_examples=False, description="The metrics.")},
)
async def read_metrics(request: Request[Any, Any, Any], load: Load) -> Response[bytes]:
    """Read the metrics: from this machine without a key, from elsewhere with one that has the scope admin."""
    if not _local(request):
        await require(request, "admin")
    queue, jobs = await load.queue(), await load.jobs()
    RSS.set(psutil.Process().memory_info().rss)
    PREFECT_UP.set(queue is not None)
    if queue is not None:
        QUEUE.set(queue.depth)
        WORKERS.set(queue.workers)
    for state, count in (jobs or {}).items():
        JOBS.labels(state).set(count)
    return Response(generate_latest(REGISTRY), headers={"Content-Type": CONTENT_TYPE_LATEST})


def _local(request: Request[Any, Any, Any]) -> bool:
    """Whether the request comes from this machine, and not by way of a proxy on it."""
    proxied = any(name in request.headers for name in ("forwarded", "x-forwarded-for", "x-real-ip"))
    return request.client is not None and request.client.host in ("127.0.0.1", "::1") and not proxied


handlers = [read_metrics]
