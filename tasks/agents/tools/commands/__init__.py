"""The tool that runs programs in the sandbox."""

from tasks.agents.tools.commands.tools import tools

__all__ = ["tools"]
