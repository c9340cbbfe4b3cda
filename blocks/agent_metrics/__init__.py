"""What runs do, those of agents above all, for Prometheus: counted where it happens, shown where it is asked for."""

from blocks.agent_metrics.names import METRICS, Metric
from blocks.agent_metrics.rows import FOLDER, RowCount, shared_metrics
from blocks.agent_metrics.sessions import LiveSession, LiveSessions
from blocks.agent_metrics.store import AgentMetrics, Change, Series

__all__ = [
    "FOLDER",
    "METRICS",
    "AgentMetrics",
    "Change",
    "LiveSession",
    "LiveSessions",
    "Metric",
    "RowCount",
    "Series",
    "shared_metrics",
]
