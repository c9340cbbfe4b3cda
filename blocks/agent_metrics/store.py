"""What agents do, counted by all processes of a machine in one file; the gateway shows it to Prometheus.

A run is a process that ends, so nobody could scrape it. The files of prometheus-client's multi-process mode would keep
its counters, but its gauges too, for ever: what is at work now is looked up when somebody asks, see `sessions`.
"""

import json
import math
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from sqlite3 import Connection
from typing import NamedTuple

import structlog

from blocks.agent_metrics.names import METRICS, Metric
from blocks.errors import BadInput, StoreFailed
from blocks.shared_database import SharedDatabase

MOST_SERIES = 200
"""Of one metric; what comes after that is counted under the labels `other`: names of tools and models come from outside
and Prometheus keeps each for ever."""
LONGEST_LABEL = 100
OTHER = "other"

KEPT_KEYS = 100_000
"""So many keys of `once` are remembered."""

SUM = -1
"""The part of a histogram's series that holds the sum; the others are the numbers of its buckets."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS samples (
    name TEXT NOT NULL, labels TEXT NOT NULL, part INTEGER NOT NULL, value REAL NOT NULL,
    PRIMARY KEY (name, labels, part)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS counted (number INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE);
"""
ADD = "INSERT INTO samples VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET value = value + excluded.value"
KNOWN = "SELECT 1 FROM samples WHERE name = ? AND labels = ? LIMIT 1"
SERIES = "SELECT count(DISTINCT labels) FROM samples WHERE name = ?"
FORGET = "DELETE FROM counted WHERE number <= (SELECT max(number) FROM counted) - ?"


class Change(NamedTuple):
    """Something to count or to observe.

    Attributes:
        name: Of the metric; see `METRICS`.
        labels: Its labels, all of them.
        value: What is added to a counter, or was observed for a histogram.
    """

    name: str
    labels: Mapping[str, str]
    value: float = 1.0


@dataclass
class Series:
    """What was counted under some labels.

    Attributes:
        labels: Their values, in the metric's order.
        total: Of a counter, its value; of a histogram, the sum of what was observed.
        buckets: Of a histogram, so many observations up to each bound, the last for all.
    """

    labels: tuple[str, ...]
    total: float = 0.0
    buckets: list[int] = field(default_factory=list[int])


class AgentMetrics:
    """The counters and histograms of a machine's agents.

    Nothing fails when the file cannot be written: metrics inform, and that they are missing shows. To count takes a
    fraction of a millisecond, and waits while others do; an event loop should leave it to `asyncio.to_thread`.

    Args:
        folder: Made when missing.
    """

    def __init__(self, folder: Path) -> None:
        self._database = SharedDatabase(folder / "metrics.db", SCHEMA)

    def count(self, name: str, labels: Mapping[str, str], by: float = 1.0, *, once: str | None = None) -> None:
        """Add to a counter; see `add`."""
        self.add([Change(name, labels, by)], once=once)

    def observe(self, name: str, labels: Mapping[str, str], value: float, *, once: str | None = None) -> None:
        """Add to a histogram; see `add`."""
        self.add([Change(name, labels, value)], once=once)

    def add(self, changes: Iterable[Change], *, once: str | None = None) -> None:
        """Count and observe, all at once.

        Args:
            changes: What.
            once: Names what happened; under the same name nothing more is counted, so that a replay counts nothing.

        Raises:
            BadInput: there is no such metric, or it has other labels, or no such values.
        """
        checked = [_checked(change) for change in changes]
        try:
            with self._database.change() as database:
                if once is None or _new(database, once):
                    for change in checked:
                        _add(database, METRICS[change.name], tuple(change.labels.values()), change.value)
        except StoreFailed as error:
            structlog.stdlib.get_logger("c500").warning("agent metrics cannot be written", error=error.message)

    def read(self) -> dict[str, list[Series]]:
        """All that was counted, by metric. Raises `StoreFailed`."""
        with self._database.change() as database:
            rows = database.execute("SELECT name, labels, part, value FROM samples ORDER BY name, labels, part")
            found = rows.fetchall()
        parts: dict[tuple[str, str], dict[int, float]] = defaultdict(dict)
        for name, labels, part, value in found:
            parts[name, labels][part] = value
        series: dict[str, list[Series]] = defaultdict(list)
        for (name, labels), values in parts.items():
            if name in METRICS:  # an older version may have counted others
                series[name].append(_series(METRICS[name], tuple(json.loads(labels)), values))
        return series

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()


def _checked(change: Change) -> Change:
    """The change with its labels in the metric's order, as they are kept."""
    metric = METRICS.get(change.name)
    if metric is None or metric.kind == "gauge":
        raise BadInput(f"{change.name} is no metric that is counted", fix="use one of METRICS", field="name")
    if set(change.labels) != set(metric.labels):
        raise BadInput(
            f"{change.name} has the labels {', '.join(metric.labels) or 'none'}", fix="give those", field="labels"
        )
    if not math.isfinite(change.value) or (metric.kind == "counter" and change.value < 0):
        raise BadInput(f"{change.name} cannot take {change.value}", fix="give a finite number", field="value")
    return Change(change.name, {name: _label(change.labels[name]) for name in metric.labels}, change.value)


def _label(value: str) -> str:
    plain = "".join(char if char.isprintable() else "?" for char in value[:LONGEST_LABEL])
    return plain.encode("utf-8", "replace").decode()


def _new(database: Connection, key: str) -> bool:
    made = database.execute("INSERT OR IGNORE INTO counted (key) VALUES (?)", (key,)).rowcount
    database.execute(FORGET, (KEPT_KEYS,))
    return bool(made)


def _add(database: Connection, metric: Metric, labels: tuple[str, ...], value: float) -> None:
    packed = json.dumps(labels, ensure_ascii=False)
    if not database.execute(KNOWN, (metric.name, packed)).fetchone():
        [(series,)] = database.execute(SERIES, (metric.name,)).fetchall()
        if series >= MOST_SERIES:
            packed = json.dumps([OTHER] * len(metric.labels))
    if metric.kind == "histogram":
        database.execute(ADD, (metric.name, packed, bisect_left(metric.buckets, value), 1))
    database.execute(ADD, (metric.name, packed, SUM, value))


def _series(metric: Metric, labels: tuple[str, ...], values: Mapping[int, float]) -> Series:
    if metric.kind == "counter":
        return Series(labels, values.get(SUM, 0.0))
    counts = (int(values.get(number, 0)) for number in range(len(metric.buckets) + 1))
    return Series(labels, values.get(SUM, 0.0), list(accumulate(counts)))
