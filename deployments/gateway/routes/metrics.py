"""`/metrics`: what the gateway counts, and what it finds of all parts, for Prometheus."""

from typing import Any

from litestar import MediaType, Request, Response, get
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from blocks.settings import settings
from deployments.gateway.metrics.served import ServedMetrics
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
async def read_metrics(request: Request[Any, Any, Any], metrics: NamedDependency[ServedMetrics]) -> Response[bytes]:
    """Read the metrics: without a key where only this machine reaches the gateway, else with one with scope read."""
    if not _local(request):
        await require(request, "read")
    return Response(await metrics.exposed(), headers={"Content-Type": CONTENT_TYPE_LATEST})


def _local(request: Request[Any, Any, Any]) -> bool:
    """Whether the request comes from this machine, as far as can be told: a plain proxy on it looks the same.

    So an address that others can reach, which is where proxies are set before, is never believed.
    """
    if not is_loopback(settings().api_host) or request.client is None:
        return False
    proxied = any(name in FORWARDING or name.startswith("x-forwarded-") for name in request.headers)
    return is_loopback(request.client.host) and not proxied


handlers = [read_metrics]
