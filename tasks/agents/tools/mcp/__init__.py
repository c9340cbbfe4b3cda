"""Tools of MCP servers."""

from tasks.agents.tools.mcp.file import McpServers, read_mcp
from tasks.agents.tools.mcp.pins import Pins
from tasks.agents.tools.mcp.tools import McpOffer, mcp_tools, pins_of

__all__ = ["McpOffer", "McpServers", "Pins", "mcp_tools", "pins_of", "read_mcp"]
