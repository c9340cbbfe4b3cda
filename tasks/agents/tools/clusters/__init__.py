"""Tools for Kubernetes and Docker."""

from tasks.agents.tools.clusters.tools import Clusters, absent, tools

__all__ = ["Clusters", "absent", "tools"]
