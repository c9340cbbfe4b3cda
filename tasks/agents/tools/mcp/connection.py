"""A connection to an MCP server, opened when it is needed and again when the server went away."""

import asyncio
import os
import sys
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blocks.errors import C500Error, EngineFailed, EngineUnavailable, TimedOut
from blocks.plain_text import cut, visible
from blocks.secret_reference import secret_at
from tasks.agents.tools.mcp import leash
from tasks.agents.tools.mcp.file import McpServer
from tasks.agents.tools.programs import PATH

if TYPE_CHECKING:
    import mcp

MOST_PAGES = 20
MOST_LOG_BYTES = 1_000_000
"""A server's log that is longer is begun anew at its next start."""

MOST_LAST_BYTES = 4000
"""Of a log that are looked at for its last line."""


class McpConnection:
    """One server.

    A connection belongs to the task that opened it (anyio's cancel scopes), and tool calls come from many; so a task of
    its own holds it open.

    Args:
        name: Of the server.
        server: How to reach it.
        folder: Where relative paths of its secrets begin.
        state: Folder for its home and its log.
    """

    def __init__(self, name: str, server: McpServer, folder: Path, state: Path) -> None:
        self.name, self.server = name, server
        self._folder, self._state = folder, state
        self._lock = asyncio.Lock()
        self._holder: asyncio.Task[None] | None = None
        self._end = asyncio.Event()
        self._client: mcp.Client | None = None
        self._log_begins = 0

    async def tools(self) -> "list[mcp.Tool]":
        """What it says of its tools.

        Raises:
            EngineUnavailable, TimedOut, EngineFailed: it does not answer, or not as it should.
            NotFound, NotAllowed, BadInput: one of its secrets is not there.
        """
        client = await self._opened()
        found: list[mcp.Tool] = []
        cursor: str | None = None
        with self._told("did not list its tools"):
            for _ in range(MOST_PAGES):
                page = await client.list_tools(cursor=cursor, cache_mode="refresh")
                found += page.tools
                cursor = page.next_cursor
                if cursor is None:
                    return found
        raise EngineFailed(f"MCP server {self.name} lists tools without end", fix="ask the operator to correct it")

    async def call(self, tool: str, arguments: Mapping[str, Any]) -> "mcp.types.CallToolResult":
        """Call a tool. Raises as `tools`."""
        client = await self._opened()
        with self._told(f"did not do {tool}", "change the arguments, or use another tool"):
            return await client.call_tool(tool, dict(arguments), read_timeout_seconds=self.server.timeout_s)

    async def close(self) -> None:
        """End the server, or the connection to it."""
        async with self._lock:
            await self._closed()

    async def _opened(self) -> "mcp.Client":
        async with self._lock:
            if self._client is not None and self._holder is not None and not self._holder.done():
                return self._client
            await self._closed()
            self._end = asyncio.Event()
            opened: asyncio.Future[mcp.Client] = asyncio.get_running_loop().create_future()
            self._holder = asyncio.create_task(self._hold(opened, self._end), name=f"mcp-{self.name}")
            await asyncio.wait({opened, self._holder}, return_when=asyncio.FIRST_COMPLETED)
            with self._told("did not start"):
                self._client = await (opened if opened.done() else self._holder)
            if self._client is None:
                raise self._gone("did not start")
            return self._client

    async def _closed(self) -> None:
        holder, client, self._holder, self._client = self._holder, self._client, None, None
        if holder is None:
            return
        self._end.set()
        if client is None:
            holder.cancel()  # it still waits for the server
        await asyncio.wait({holder})

    async def _hold(self, opened: "asyncio.Future[mcp.Client]", end: asyncio.Event) -> None:
        """Keep the connection open until the end."""
        try:
            async with asyncio.timeout(self.server.start_s) as start, self._connected() as client:
                start.reschedule(None)
                opened.set_result(client)
                await end.wait()
        except Exception as error:  # noqa: BLE001 - whoever waits for it gets it
            if not opened.done():
                opened.set_exception(error)

    @asynccontextmanager
    async def _connected(self) -> "AsyncGenerator[mcp.Client]":
        import mcp

        async with self._transport() as transport, mcp.Client(transport, cache=None) as client:
            yield client

    @asynccontextmanager
    async def _transport(self) -> AsyncGenerator[Any]:
        from mcp.client.streamable_http import streamable_http_client

        if self.server.url is None:
            async with self._program() as transport:
                yield transport
            return
        import httpx2

        headers = await self._secrets(self.server.headers, "headers")
        timeout = httpx2.Timeout(self.server.start_s, read=self.server.timeout_s)
        async with httpx2.AsyncClient(headers=headers, timeout=timeout, trust_env=False) as client:
            yield streamable_http_client(self.server.url, http_client=client)

    @asynccontextmanager
    async def _program(self) -> AsyncGenerator[Any]:
        from mcp import StdioServerParameters, stdio_client

        home = self._state / f"{self.name}.home"
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        # All that the library would hand on from our own environment is set here.
        own = {"HOME": str(home), "PATH": PATH, "LANG": "C.UTF-8", "SHELL": "/bin/sh", "TERM": "dumb"}
        names = dict.fromkeys(("USER", "LOGNAME"), "agent")
        secrets = await self._secrets(self.server.secret_env, "secret_env")
        # A run that is killed must not leave a server behind that ends what is by then in doubt.
        leashed = ["-I", "-S", leash.__file__, str(os.getpid()), *self.server.command]
        parameters = StdioServerParameters(
            command=sys.executable,
            args=leashed,
            env={**own, **names, **self.server.env, **secrets},
            cwd=home,
            encoding_error_handler="replace",
        )
        with self._log() as log:
            yield stdio_client(parameters, errlog=log)

    @contextmanager
    def _log(self) -> Generator[Any]:
        """What the program writes beside its answers."""
        path = self._state / f"{self.name}.log"
        is_long = path.exists() and path.stat().st_size > MOST_LOG_BYTES
        mode = os.O_TRUNC if is_long else os.O_APPEND
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | mode, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as log:
            self._log_begins = os.fstat(descriptor).st_size
            yield log

    def _last_words(self) -> str:
        """The last line that the program wrote beside its answers since it was started; empty for none."""
        path = self._state / f"{self.name}.log"
        if self.server.url is not None or not path.exists():
            return ""
        with path.open("rb") as log:
            log.seek(max(self._log_begins, path.stat().st_size - MOST_LAST_BYTES))
            lines = log.read().decode("utf-8", "replace").split("\n")
        return next((cut(visible(line.strip()), 300) for line in reversed(lines) if line.strip()), "")

    async def _secrets(self, references: Mapping[str, str], field: str) -> dict[str, str]:
        return {
            name: await secret_at(reference, self._folder, f"servers.{self.name}.{field}.{name}")
            for name, reference in references.items()
        }

    @contextmanager
    def _told(self, what: str, fix: str = "") -> Generator[None]:
        """Errors of the library as ours; the next call connects anew where the connection is lost."""
        try:
            yield
        except C500Error:
            raise
        except Exception as error:
            raise self._ours(what, fix or f"ask the operator to look at {self._where}", _first(error)) from error

    def _ours(self, what: str, fix: str, error: Exception) -> C500Error:
        from mcp import MCPError
        from mcp.types import CONNECTION_CLOSED, REQUEST_TIMEOUT

        code = error.code if isinstance(error, MCPError) else None
        if code == REQUEST_TIMEOUT or isinstance(error, TimeoutError):
            return TimedOut(f"MCP server {self.name} {what} in time", fix="ask for less, or try again later")
        if isinstance(error, MCPError) and code != CONNECTION_CLOSED:
            told = cut(visible(error.message), 500)
            return EngineFailed(f"MCP server {self.name} {what}: {told}", fix=fix)
        self._client = None
        if code == CONNECTION_CLOSED:
            return self._gone(what)
        told = f"{type(error).__name__}: {cut(visible(str(error)), 200)}"
        kind = EngineUnavailable if isinstance(error, OSError) else EngineFailed
        return kind(f"MCP server {self.name} {what}: {told}", fix=f"ask the operator to look at {self._where}")

    @property
    def _where(self) -> str:
        return self.server.url or f"its log {self.name}.log"

    def _gone(self, what: str) -> EngineUnavailable:
        last = f", and its log ends with: {words}" if (words := self._last_words()) else ""
        return EngineUnavailable(
            f"MCP server {self.name} {what}: it went away{last}",
            fix=f"try once more; then ask the operator to look at {self._where}",
        )


def _first(error: Exception) -> Exception:
    """The error within groups of one."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error
