"""`/metrics`: what the gateway counts and measures, for Prometheus."""

from typing import Any

import psutil
from litestar import MediaType, Request, Response, get
from litestar.openapi.datastructures import ResponseSpec
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from deployments.gateway.auth import OPEN, require
from deployments.gateway.counters import JOBS, PREFECT_UP, QUEUE, REGISTRY, RSS, WORKERS
from deployments.gateway.load import Load


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
