"""The metrics of agents: their names, labels and buckets."""

from collections.abc import Mapping
from typing import Literal

from blocks.model import Frozen

Kind = Literal["counter", "histogram", "gauge"]


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
    def series(self) -> tuple[str, ...]:
        """Names of its time series."""
        return tuple(f"{self.name}_{part}" for part in ("bucket", "sum", "count")) if self.buckets else (self.name,)


def _counter(name: str, told: str, *labels: str) -> Metric:
    return Metric(name=name, kind="counter", told=told, labels=labels)


def _gauge(name: str, told: str, *labels: str) -> Metric:
    return Metric(name=name, kind="gauge", told=told, labels=labels)


def _histogram(name: str, told: str, *labels: str, buckets: tuple[float, ...]) -> Metric:
    return Metric(name=name, kind="histogram", told=told, labels=labels, buckets=buckets)


AGENT = "agent_name"
DURATIONS_S = (1, 5, 10, 30, 60, 120, 300, 600)
STEPS = (1, 2, 5, 10, 20, 50, 100)
WAITS_S = (5, 30, 60, 300, 900, 3600, 14_400, 86_400)

_ALL = (
    _counter("agent_requests_total", "Runs of agents that ended.", AGENT, "status"),
    _histogram("agent_request_duration_seconds", "Seconds at work of runs that ended.", AGENT, buckets=DURATIONS_S),
    _histogram("agent_steps_per_request", "Model calls of runs that ended.", AGENT, buckets=STEPS),
    _counter("agent_steps_total", "Model calls, also of runs at work.", AGENT),
    _counter("agent_tokens_total", "Tokens of model calls.", AGENT, "model", "type"),
    _counter("agent_api_cost_dollars_total", "Cost of model calls in dollars.", AGENT, "model"),
    _counter("agent_cache_hits_total", "Model calls answered from a cache.", AGENT, "cache_type"),
    _counter("agent_cache_lookups_total", "Model calls looked for in a cache.", AGENT, "cache_type"),
    _counter("agent_task_success_total", "Goals that were reached.", AGENT, "task_type"),
    _counter("agent_task_failure_total", "Goals that were not.", AGENT, "task_type", "failure_reason"),
    _counter("agent_user_feedback_total", "What users said of the outcome.", AGENT, "rating"),
    _counter("agent_guard_decisions_total", "Tool calls that rules and guards decided.", "decision", "rule"),
    _counter("agent_approvals_total", "Questions to persons that were answered.", "risk", "decision"),
    _histogram("agent_approval_wait_seconds", "Seconds until persons answered.", buckets=WAITS_S),
    _gauge("agent_active_sessions", "Runs at work on this machine, without those that wait for a person.", AGENT),
    _gauge("agent_queue_depth", "Runs that wait for a worker.", AGENT, "priority"),
    _gauge("agent_budget_used_ratio", "Used and held share of a budget.", "budget"),
    _gauge("agent_approvals_waiting", "Questions that wait for a person.", "risk"),
    _gauge("agent_audit_head_seq", "Number of the latest audit record; it never goes down."),
    _gauge("agent_switches_set", "Stop switches that are set.", "scope"),
    _gauge("agent_breakers_open", "Whether calls of what fails are held back for a while.", AGENT, "tool"),
    _gauge("agent_metrics_up", "Whether all metrics of agents could be read."),
)

METRICS: Mapping[str, Metric] = {metric.name: metric for metric in _ALL}
"""By name. The first eleven are of the book this project follows, and so are their labels and buckets."""
