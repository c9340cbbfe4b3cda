"""What agents do, for Prometheus: counted where it happens, shown where it is asked for."""

from blocks.agent_metrics.names import METRICS, Metric
from blocks.agent_metrics.sessions import LiveSession, LiveSessions
from blocks.agent_metrics.store import AgentMetrics, Change, Series

FOLDER = "metrics"
"""Of all that, in AGENTS_HOME."""

__all__ = ["FOLDER", "METRICS", "AgentMetrics", "Change", "LiveSession", "LiveSessions", "Metric", "Series"]
