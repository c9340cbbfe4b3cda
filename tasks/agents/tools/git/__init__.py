"""Tools for git repositories of the workspace."""

from tasks.agents.tools.git.tools import TOOLS

__all__ = ["TOOLS"]
