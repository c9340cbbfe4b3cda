"""An MCP server of tests, talked to through its streams or over HTTP: `python -m tests.fakes.mcp_server FILE [PORT]`.

The file's first line is the description of its tool `add`, the second the name of one more tool, if any.
"""

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import anyio
from mcp.server.mcpserver import Context, MCPServer
from mcp.types import ImageContent
from pydantic import Field

description, *more = Path(sys.argv[1]).read_text(encoding="utf-8").splitlines()
server = MCPServer("fake", log_level="ERROR")


@server.tool(description=description)
def add(a: Annotated[int, Field(description="first\u200b\U000e0041 number")], b: int) -> int:
    return a + b


@server.tool(structured_output=False)
def environment() -> str:
    return "\n".join(f"{name}={value}" for name, value in sorted(os.environ.items()))


@server.tool(structured_output=False)
def headers(ctx: Context) -> str:
    request: Any = ctx.request_context.request
    return request.headers["authorization"]


@server.tool(structured_output=False)
def picture() -> list[Any]:
    return ["an apple\u202e", ImageContent(type="image", data="AAAA", mime_type="image/png")]


@server.tool(structured_output=False)
def fail(why: str) -> str:
    raise ValueError(why)


@server.tool(structured_output=False)
async def wait(seconds: float) -> str:
    await anyio.sleep(seconds)
    return "done"


@server.tool(structured_output=False)
def die() -> str:
    os._exit(3)


for name in more:

    @server.tool(name=name, structured_output=False)
    def another() -> str:
        return "another"


if __name__ == "__main__":
    if len(sys.argv) > 2:
        server.run("streamable-http", host="127.0.0.1", port=int(sys.argv[2]))
    else:
        server.run("stdio")
