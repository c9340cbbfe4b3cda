"""A ticket system as an MCP server over HTTP: `python -m tests.stories.ticket_server FILE PORT`.

Each line of the file is a ticket that is open.
"""

import json
import sys
from pathlib import Path

from mcp.server.mcpserver import MCPServer

tickets = Path(sys.argv[1])
server = MCPServer("tickets", log_level="ERROR")


def _open() -> list[str]:
    return tickets.read_text().splitlines() if tickets.exists() else []


@server.tool(structured_output=False)
def create_ticket(title: str, text: str) -> str:
    """Open a ticket."""
    with tickets.open("a") as file:
        file.write(json.dumps({"title": title, "text": text}) + "\n")
    return f"ticket {len(_open())} is open: {title}"


@server.tool(structured_output=False)
def ticket_queue() -> str:
    """How many tickets are open, and the latest of them."""
    return "\n".join([f"{len(_open())} tickets are open", *_open()[-5:]])


if __name__ == "__main__":
    server.run("streamable-http", host="127.0.0.1", port=int(sys.argv[2]))
