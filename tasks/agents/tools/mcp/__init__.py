"""Tools of MCP servers."""

from tasks.agents.tools.mcp.connection import McpConnection
from tasks.agents.tools.mcp.file import McpServers, read_mcp
from tasks.agents.tools.mcp.pins import Pins
from tasks.agents.tools.mcp.tools import CHANGED, FOLDER, McpOffer, mcp_tools, pins_of

__all__ = ["CHANGED", "FOLDER", "McpConnection", "McpOffer", "McpServers", "Pins", "mcp_tools", "pins_of", "read_mcp"]
