"""`/metrics`: what the gateway counts and measures, for Prometheus."""

from typing import Any

import psutil
from litestar import MediaType, Request, Response, get
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from blocks.settings import settings
from deployments.gateway.counters import JOBS, PREFECT_UP, QUEUE, REGISTRY, RSS, WORKERS
from deployments.gateway.llm_metrics import LlmMetrics
from deployments.gateway.load import Load
from deployments.gateway.served_agent_metrics import ServedAgentMetrics
from deployments.gateway.web.auth import OPEN, is_loopback, require

FORWARDING = {"forwarded", "via", "x-real-ip"}
"""Headers that proxies add, besides those that begin with `x-forwarded-`."""


@get(
    "/metrics",
    opt=OPEN,
    media_type=MediaType.TEXT,
    operation_id="readMetrics",
    summary="Metrics for Prometheus",
    responses={200: ResponseSpec(str, media_type="text/plain", generate_examples=False, description="The metrics.")},
)
async def read_metrics(
    request: Request[Any, Any, Any],
    load: NamedDependency[Load],
    llm_metrics: NamedDependency[LlmMetrics],
    agent_metrics: NamedDependency[ServedAgentMetrics],
) -> Response[bytes]:
    """Read the metrics: without a key where only this machine reaches the gateway, else with one with scope read."""
    if not _local(request):
        await require(request, "read")
    queue, jobs = await load.queue(), await load.jobs()
    RSS.set(psutil.Process().memory_info().rss)
    PREFECT_UP.set(queue is not None)
    if queue is not None:
        QUEUE.set(queue.depth)
        WORKERS.set(queue.workers)
    for state, count in (jobs or {}).items():
        JOBS.labels(state).set(count)
    content = generate_latest(REGISTRY) + await llm_metrics.exposed() + await agent_metrics.exposed()
    return Response(content, headers={"Content-Type": CONTENT_TYPE_LATEST})


def _local(request: Request[Any, Any, Any]) -> bool:
    """Whether the request comes from this machine, as far as can be told: a plain proxy on it looks the same.

    So an address that others can reach, which is where proxies are set before, is never believed.
    """
    if not is_loopback(settings().api_host) or request.client is None:
        return False
    proxied = any(name in FORWARDING or name.startswith("x-forwarded-") for name in request.headers)
    return is_loopback(request.client.host) and not proxied


handlers = [read_metrics]
