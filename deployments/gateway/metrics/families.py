"""Metrics in the form in which prometheus-client writes them."""

from collections.abc import Iterable, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from blocks.agent_metrics.store import MOST_SERIES, OTHER
from deployments.gateway.metrics.table import TABLE

Labels = tuple[str, ...]

# A second series for each counter, with the time of its birth: Prometheus sees that one begins anew without it.
disable_created_metrics()


def gauge_family(name: str, values: Mapping[Labels, float] | float) -> Family:
    """A gauge.

    Args:
        name: Its name in the table.
        values: By the values of its labels, in the table's order; a number where it has none.
    """
    metric = TABLE[name]
    family = GaugeMetricFamily(metric.name, metric.told, labels=metric.labels)
    for labels, value in sorted(values.items()) if isinstance(values, Mapping) else [((), values)]:
        family.add_metric(labels, value)
    return family


def counter(name: str, registry: CollectorRegistry) -> Counter:
    """A counter of this process."""
    metric = TABLE[name]
    return Counter(metric.name, metric.told, metric.labels, registry=registry)


def gauge(name: str, registry: CollectorRegistry) -> Gauge:
    """A gauge of this process."""
    metric = TABLE[name]
    return Gauge(metric.name, metric.told, metric.labels, registry=registry)


def histogram(name: str, registry: CollectorRegistry) -> Histogram:
    """A histogram of this process."""
    metric = TABLE[name]
    return Histogram(metric.name, metric.told, metric.labels, buckets=metric.buckets, registry=registry)


class Shown(Collector):
    """Families as a registry has them.

    Args:
        families: The families.
    """

    def __init__(self, families: Iterable[Family]) -> None:
        self._families = families

    def collect(self) -> Iterable[Family]:
        """See `Collector`."""
        return self._families


def exposed(families: Iterable[Family]) -> bytes:
    """Families as Prometheus reads them."""
    return generate_latest(Shown(families))


class Capped:
    """Label values that come from outside; beyond so many, all others are one."""

    def __init__(self, most: int = MOST_SERIES) -> None:
        self._most, self._known = most, set[Labels]()

    def labels(self, *values: str) -> Labels:
        """The values, or as many times `other`."""
        if values not in self._known:
            if len(self._known) >= self._most:
                return (OTHER,) * len(values)
            self._known.add(values)
        return values


class Counts:
    """Counters and histograms of one part, that this process counts since it began."""

    def __init__(self, names: Iterable[str]) -> None:
        self._registry = CollectorRegistry()
        self._made: dict[str, Any] = {
            name: (histogram if TABLE[name].kind == "histogram" else counter)(name, self._registry) for name in names
        }
        self._capped = {name: Capped() for name in self._made}

    def count(self, name: str, *labels: str, by: float = 1.0) -> None:
        """Add to a counter; 0 has the series be there, so that its first count is seen as one."""
        self._child(name, labels).inc(by)

    def observe(self, name: str, *labels: str, value: float | None) -> None:
        """Add to a histogram; None adds nothing."""
        if value is not None:
            self._child(name, labels).observe(value)

    def families(self) -> list[Family]:
        """As they are now."""
        return list(self._registry.collect())

    def _child(self, name: str, labels: Labels) -> Any:
        made = self._made[name]
        return made.labels(*self._capped[name].labels(*labels)) if labels else made
