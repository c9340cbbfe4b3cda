"""What is measured of agents: counted by the runs themselves, looked up where it is of the moment.

All gateways of one AGENTS_HOME tell the same, so only one of them should be scraped.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import TypeVar

import httpx
import structlog
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric as Family
from sqlalchemy.exc import SQLAlchemyError

from blocks.agent_metrics import METRICS, AgentMetrics, Metric, Series
from blocks.agent_metrics.names import REFERENCE
from blocks.errors import C500Error
from blocks.progress import in_thread
from deployments.gateway.metrics.families import Labels, gauge_family

T = TypeVar("T")

Gauge = Callable[[], Awaitable[Mapping[Labels, float]]]
"""Looks up a gauge: its values by the values of its labels, in the order of `METRICS`."""

UP = "c500_agent_up"


class AgentLook:
    """Looks at the agents of one AGENTS_HOME.

    Args:
        metrics: What was counted.
        gauges: What is looked up, by the name of its metric; one that fails is left out, and `c500_agent_up` is 0.
    """

    def __init__(self, metrics: AgentMetrics, gauges: Mapping[str, Gauge]) -> None:
        self._metrics, self._gauges = metrics, {METRICS[name].name: gauge for name, gauge in gauges.items()}

    async def read(self) -> Sequence[Family]:
        """What there is now, with `c500_agent_up`: what can be read is told though something else cannot."""
        counted = await _tried("counters", lambda: in_thread(self._metrics.read))
        families = [one for name, series in (counted or {}).items() for one in _counted(METRICS[name], series)]
        looked_up = {name: await _tried(name, gauge) for name, gauge in self._gauges.items()}
        for name, values in looked_up.items():
            families += [] if values is None else _gauge(name, values)
        is_up = counted is not None and None not in looked_up.values()
        return [*families, gauge_family(UP, float(is_up))]


async def _tried(what: str, look: Callable[[], Awaitable[T]]) -> T | None:
    """What was looked up; None when that cannot be done now."""
    try:
        return await look()
    except (C500Error, SQLAlchemyError, httpx.HTTPError, OSError, TimeoutError) as error:
        structlog.stdlib.get_logger("c500").warning("agent metrics cannot be read", what=what, error=str(error))
        return None


def _names(name: str) -> Iterator[str]:
    """The names that a metric is told under."""
    yield name
    if name in REFERENCE:
        yield REFERENCE[name]


def _counted(metric: Metric, series: Sequence[Series]) -> Iterator[Family]:
    bounds = (*(str(float(bound)) for bound in metric.buckets), "+Inf")
    for name in _names(metric.name):
        if metric.kind == "counter":
            counter = CounterMetricFamily(name, metric.told, labels=metric.labels)
            for one in series:
                counter.add_metric(one.labels, one.total)
            yield counter
            continue
        histogram = HistogramMetricFamily(name, metric.told, labels=metric.labels)
        for one in series:
            histogram.add_metric(one.labels, list(zip(bounds, map(float, one.buckets), strict=True)), one.total)
        yield histogram


def _gauge(known: str, values: Mapping[Labels, float]) -> Iterator[Family]:
    for name in _names(known):
        gauge = GaugeMetricFamily(name, METRICS[known].told, labels=METRICS[known].labels)
        for labels, value in sorted(values.items()):
            gauge.add_metric(labels, value)
        yield gauge
