"""The tool that reads SQL databases."""

from tasks.agents.tools.sql.tools import tools

__all__ = ["tools"]
