"""Holds an MCP server open until it is killed: `python -m tests.tasks.agents.tools.holding_server STATE COMMAND…`.

Prints a line when the server has answered.
"""

import asyncio
import sys
from pathlib import Path

from tasks.agents.tools.mcp import McpServers, mcp_tools
from tasks.agents.tools.mcp.file import McpServer


async def hold(state: Path, command: list[str]) -> None:
    """Start the server, and wait."""
    server = McpServer(command=tuple(command))
    async with mcp_tools(McpServers(folder=state, by_name={"held": server}), state) as offer:
        print(offer.absent or "ready", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(hold(Path(sys.argv[1]), sys.argv[2:]))
