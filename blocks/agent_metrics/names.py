"""What runs count for Prometheus: names, labels and buckets. All names of C500 follow one scheme, see `NAME`."""

import re
from collections.abc import Mapping
from typing import Literal

from blocks.model import Frozen

Kind = Literal["counter", "histogram", "gauge"]

NAME = re.compile(r"c500_(?P<part>[a-z]+)_(?P<what>[a-z]+(_[a-z]+)*)")
"""`c500_<part>_<what>_<unit>`, the unit one of `UNITS` or none, with `_total` after it where it is a counter.

Source: https://prometheus.io/docs/practices/naming, base units."""

UNITS = ("seconds", "bytes", "ratio", "usd")


class Metric(Frozen):
    """A metric.

    Attributes:
        name: As Prometheus knows it; of a counter with `_total`.
        kind: What it is; gauges are looked up when they are asked for, not counted.
        told: What it tells.
        labels: Names of its labels.
        buckets: Upper bounds of a histogram's buckets but the last, which has none.
    """

    name: str
    kind: Kind
    told: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()

    @property
    def part(self) -> str:
        """The part of C500 that it is of."""
        return self.name.split("_")[1]

    @property
    def series(self) -> tuple[str, ...]:
        """Names of its time series."""
        return tuple(f"{self.name}_{part}" for part in ("bucket", "sum", "count")) if self.buckets else (self.name,)


def counter(name: str, told: str, *labels: str) -> Metric:
    """A counter, by its name with `_total`."""
    return Metric(name=name, kind="counter", told=told, labels=labels)


def gauge(name: str, told: str, *labels: str) -> Metric:
    """A gauge."""
    return Metric(name=name, kind="gauge", told=told, labels=labels)


def histogram(name: str, told: str, *labels: str, buckets: tuple[float, ...]) -> Metric:
    """A histogram."""
    return Metric(name=name, kind="histogram", told=told, labels=labels, buckets=buckets)


AGENT = "agent_name"
DURATIONS_S = (1, 5, 10, 30, 60, 120, 300, 600)
STEPS = (1, 2, 5, 10, 20, 50, 100)
WAITS_S = (5, 30, 60, 300, 900, 3600, 14_400, 86_400)
VRAM_BYTES = tuple(gigabytes * 1e9 for gigabytes in (0.5, 1, 2, 4, 8, 12, 16, 24, 40, 80))
RESIDUAL_BYTES = tuple(megabytes * 1e6 for megabytes in (1, 10, 50, 100, 500, 1000, 5000))

_ALL = (
    counter("c500_agent_requests_total", "Runs of agents that ended.", AGENT, "status"),
    histogram("c500_agent_request_duration_seconds", "Seconds at work of runs that ended.", AGENT, buckets=DURATIONS_S),
    histogram("c500_agent_steps_per_request", "Model calls of runs that ended.", AGENT, buckets=STEPS),
    counter("c500_agent_steps_total", "Model calls, also of runs at work.", AGENT),
    counter("c500_agent_tokens_total", "Tokens of model calls.", AGENT, "model", "type"),
    counter("c500_agent_api_cost_usd_total", "Cost of model calls in dollars.", AGENT, "model"),
    counter("c500_agent_cache_hits_total", "Model calls answered from a cache.", AGENT, "cache_type"),
    counter("c500_agent_cache_lookups_total", "Model calls looked for in a cache.", AGENT, "cache_type"),
    counter("c500_agent_task_success_total", "Goals that were reached.", AGENT, "task_type"),
    counter("c500_agent_task_failure_total", "Goals that were not.", AGENT, "task_type", "failure_reason"),
    counter("c500_agent_user_feedback_total", "What users said of the outcome.", AGENT, "rating"),
    counter("c500_agent_guard_decisions_total", "Tool calls that rules and guards decided.", "decision", "rule"),
    counter("c500_agent_approvals_total", "Questions to persons that were answered.", "risk", "decision"),
    histogram("c500_agent_approval_wait_seconds", "Seconds until persons answered.", buckets=WAITS_S),
    gauge("c500_agent_active_sessions", "Runs at work on this machine, without those that wait for a person.", AGENT),
    gauge("c500_agent_queue_depth", "Runs that wait for a worker.", AGENT, "priority"),
    gauge("c500_agent_budget_used_ratio", "Used and held share of a budget.", "budget"),
    gauge("c500_agent_approvals_waiting", "Questions that wait for a person.", "risk"),
    gauge("c500_agent_audit_head_seq", "Number of the latest audit record; it never goes down."),
    gauge("c500_agent_switches_set", "Stop switches that are set.", "scope"),
    gauge("c500_agent_breakers_open", "Whether calls of what fails are held back for a while.", AGENT, "tool"),
    gauge("c500_agent_up", "Whether all metrics of agents could be read."),
    counter("c500_swarm_rows_total", "Rows of swarms and batches of prompts that ended.", "kind", "outcome"),
    counter("c500_gpu_loads_total", "Models that were loaded onto a GPU and taken off again.", "gpu"),
    histogram("c500_gpu_model_peak_bytes", "The most GPU memory that a model took.", "gpu", buckets=VRAM_BYTES),
    histogram("c500_gpu_residual_bytes", "GPU memory still taken after a model left.", "gpu", buckets=RESIDUAL_BYTES),
)

METRICS: Mapping[str, Metric] = {metric.name: metric for metric in _ALL}
"""By name."""

_OF_THE_BOOK = (
    *("requests_total", "request_duration_seconds", "steps_per_request", "tokens_total"),
    *("cache_hits_total", "cache_lookups_total", "task_success_total", "task_failure_total", "user_feedback_total"),
    *("guard_decisions_total", "approvals_total", "approval_wait_seconds"),
    *("active_sessions", "queue_depth", "budget_used_ratio", "audit_head_seq"),
)

REFERENCE: Mapping[str, str] = {f"c500_agent_{name}": f"agent_{name}" for name in _OF_THE_BOOK} | {
    "c500_agent_api_cost_usd_total": "agent_api_cost_dollars_total"
}
"""The names that the book this project follows gives to metrics of agents, by ours; its labels and buckets are ours.
They are told under both, so that dashboards and alerts made after the book work; ours use the names of the scheme."""
