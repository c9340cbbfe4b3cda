"""Tools of the web."""

from tasks.agents.tools.web.call import WebLimits
from tasks.agents.tools.web.tools import tools

__all__ = ["WebLimits", "tools"]
