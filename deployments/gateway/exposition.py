"""Metrics as Prometheus reads them, read anew when somebody asks and the last ones are too old."""

from collections.abc import Awaitable, Callable, Iterable, Sequence

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from deployments.gateway.load import Recent


class Exposition(Collector):
    """What is read, as text.

    Args:
        read: Reads the metrics.
        fresh_s: Seconds for which they are told again.
    """

    def __init__(self, read: Callable[[], Awaitable[Sequence[Family]]], fresh_s: float) -> None:
        self._fresh = Recent(read, fresh_s)
        self._families: Sequence[Family] = ()
        self._registry = CollectorRegistry()
        self._registry.register(self)

    async def exposed(self) -> bytes:
        """The metrics; empty where there are none."""
        self._families = await self._fresh.get()
        return generate_latest(self._registry)

    def collect(self) -> Iterable[Family]:
        """See `Collector`."""
        return self._families
