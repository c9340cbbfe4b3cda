"""What is measured of agents, for Prometheus: counted by the runs themselves, looked up where it is of the moment.

All gateways of one AGENTS_HOME tell the same, so only one of them should be scraped. It is read every 5 s at most.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TypeVar

import httpx
import structlog
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric as Family
from sqlalchemy.exc import SQLAlchemyError

from blocks.agent_metrics import METRICS, AgentMetrics, Metric, Series
from blocks.errors import C500Error
from blocks.progress import in_thread
from deployments.gateway.exposition import Exposition

FRESH_S = 5.0

UP = "agent_metrics_up"

T = TypeVar("T")

Labels = tuple[str, ...]
Gauge = Callable[[], Awaitable[Mapping[Labels, float]]]
"""Looks up a gauge: its values by the values of its labels, in the order of `METRICS`."""


class AgentExposition:
    """The metrics of the agents of one AGENTS_HOME.

    Args:
        metrics: What was counted.
        gauges: What is looked up, by the name of its metric; one that fails is left out, and `agent_metrics_up` is 0.
    """

    def __init__(self, metrics: AgentMetrics, gauges: Mapping[str, Gauge]) -> None:
        self._metrics, self._gauges = metrics, {METRICS[name].name: gauge for name, gauge in gauges.items()}
        self._exposition = Exposition(self._read, FRESH_S)

    async def exposed(self) -> bytes:
        """The metrics as Prometheus reads them."""
        return await self._exposition.exposed()

    async def _read(self) -> Sequence[Family]:
        counted = await _tried("counters", lambda: in_thread(self._metrics.read))
        families = [_counted(METRICS[name], series) for name, series in (counted or {}).items()]
        looked_up = {name: await _tried(name, gauge) for name, gauge in self._gauges.items()}
        families += [_gauge(METRICS[name], values) for name, values in looked_up.items() if values is not None]
        up = counted is not None and None not in looked_up.values()
        return (*families, _gauge(METRICS[UP], {(): float(up)}))


async def _tried(what: str, look: Callable[[], Awaitable[T]]) -> T | None:
    """What was looked up; None when that cannot be done now."""
    try:
        return await look()
    except (C500Error, SQLAlchemyError, httpx.HTTPError, OSError, TimeoutError) as error:
        structlog.stdlib.get_logger("c500").warning("agent metrics cannot be read", what=what, error=str(error))
        return None


def _counted(metric: Metric, series: Iterable[Series]) -> Family:
    if metric.kind == "counter":
        counter = CounterMetricFamily(metric.name, metric.told, labels=metric.labels)
        for one in series:
            counter.add_metric(one.labels, one.total)
        return counter
    histogram = HistogramMetricFamily(metric.name, metric.told, labels=metric.labels)
    bounds = (*(str(float(bound)) for bound in metric.buckets), "+Inf")
    for one in series:
        histogram.add_metric(one.labels, list(zip(bounds, map(float, one.buckets), strict=True)), one.total)
    return histogram


def _gauge(metric: Metric, values: Mapping[Labels, float]) -> Family:
    gauge = GaugeMetricFamily(metric.name, metric.told, labels=metric.labels)
    for labels, value in sorted(values.items()):
        gauge.add_metric(labels, value)
    return gauge
