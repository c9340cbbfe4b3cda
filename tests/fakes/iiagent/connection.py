"""One WebSocket connection: what comes in, and what it is answered."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from aiohttp import WSCloseCode, WSMessage, WSMsgType, web

from tests.fakes.iiagent.agent import Agent
from tests.fakes.iiagent.forms import Content, parts, wrong_init, wrong_query
from tests.fakes.iiagent.sessions import Session

if TYPE_CHECKING:
    from tests.fakes.iiagent.server import FakeServer

LARGEST_FRAME_BYTES = 16 * 2**20
BUSY = "A query is already being processed"
NO_AGENT = "No active agent for this session"


class Connection:
    """A connection of a client to a session.

    Attributes:
        session: Its session.
        deaf: No frame of it is heard any more.
        agent: What it made with init_agent.
    """

    def __init__(self, server: "FakeServer", request: web.Request, socket: web.WebSocketResponse) -> None:
        self.server = server
        self.session: Session = server.session_of(request)
        self.deaf = False
        self.agent: Agent | None = None
        self._agents: list[Agent] = []
        self.closed = False
        self._request = request
        self._socket = socket
        self._named_session = "session_uuid" in request.query
        self._handlers: dict[str, Callable[[Content], Awaitable[None]]] = {
            "init_agent": self._init_agent,
            "query": self._query,
            "workspace_info": self._workspace_info,
            "ping": self._ping,
            "cancel": self._cancel,
            "edit_query": self._edit_query,
            "enhance_prompt": self._enhance_prompt,
            "review_result": self._review_result,
        }

    async def talk(self) -> None:
        """Serve the client until the connection ends, and its run after it."""
        greeting = {
            "message": "Connected to Agent WebSocket Server",
            "workspace_path": str(self.session.workspace),
        }
        await self.send("connection_established", greeting)
        heard: asyncio.Queue[WSMessage] = asyncio.Queue()
        reader = self.server.spawn(self._read(heard))
        try:
            while await self._answer(await heard.get()):
                pass
        finally:
            reader.cancel()
            self._detach()

    async def send(self, kind: str, content: Any) -> None:
        """Send a frame, if the client is still there."""
        await self.send_raw(json.dumps({"type": kind, "content": content}), kind)

    async def send_raw(self, data: str | bytes, kind: str = "") -> None:
        """Send anything, if the client is still there."""
        await self.server.thawed()
        if self.deaf or self.closed:
            return
        with suppress(ConnectionError):
            await (self._socket.send_str(data) if isinstance(data, str) else self._socket.send_bytes(data))
            self.server.note_sent(self, kind)

    def cut(self) -> None:
        """Break the connection without a close frame."""
        if self._request.transport is not None:
            self._request.transport.close()
        self._detach()

    async def close(self, code: int) -> None:
        """Say goodbye."""
        with suppress(ConnectionError):
            await self._socket.close(code=code)

    async def drop(self, code: int) -> None:
        """End it from this side."""
        if code:
            await self.close(code)
        self.cut()

    @property
    def _busy(self) -> bool:
        """Whether a run goes on, also one of an agent that was made before the present one."""
        return any(agent.busy for agent in self._agents)

    def _detach(self) -> None:
        """Nobody is there any more: the run stops before its next turn."""
        self.closed = True
        for agent in self._agents:
            agent.cancel()
            agent.connection = None
        self.server.changed()

    async def _read(self, heard: "asyncio.Queue[WSMessage]") -> None:
        """Take what comes, also while the server stands still."""
        while True:
            message = await self._socket.receive()
            self.server.note_held()
            heard.put_nowait(message)
            if message.type not in (WSMsgType.TEXT, WSMsgType.PING, WSMsgType.PONG):
                return

    async def _answer(self, message: WSMessage) -> bool:
        """Answer what came; False at the end."""
        await self.server.thawed()
        if message.type is WSMsgType.PING:
            with suppress(ConnectionError):
                await self._socket.pong(message.data)
        elif message.type is WSMsgType.CLOSE:
            await self.close(WSCloseCode.OK)
        elif message.type is WSMsgType.TEXT and not self.deaf:
            return await self._heard(message.data)
        return message.type in (WSMsgType.TEXT, WSMsgType.PING, WSMsgType.PONG)

    async def _heard(self, text: str) -> bool:
        """Answer a frame; False if the connection was cut before it could be."""
        try:
            frame = json.loads(text)
        except json.JSONDecodeError:
            await self.send("error", {"message": "Invalid JSON format"})
            self._go_deaf()
            return True
        if self.server.note_received(self, frame):
            return False
        kind, content = parts(frame)
        if not isinstance(frame, dict):
            await self._error(f"Error processing request: a mapping is needed, not {type(frame).__name__}")
        elif kind is None:
            await self._error("Invalid message format: 1 validation error for WebSocketMessage")
        elif kind not in self._handlers:
            await self._error(f"Unknown message type: {kind}")
        else:
            await self._handlers[kind](content)
        return True

    def _go_deaf(self) -> None:
        self.deaf = True
        for agent in self._agents:
            agent.connection = None
            agent.lose()

    async def _error(self, message: str) -> None:
        await self.send("error", {"message": message})

    async def _init_agent(self, content: Content) -> None:
        wrong = wrong_init(content)
        model = content.get("model_name", "")
        if wrong:
            await self._error(f"Invalid init_agent content: {wrong}")
            return
        failed = self.server.cannot_begin(self.session, model, named=self._named_session)
        if failed:
            await self._error(f"Error initializing agent: {failed}")
            return
        self.session.begin(self._request.query.get("device_id"))
        self.agent = Agent(self.server, self.session, self, model)
        self._agents.append(self.agent)
        self.server.begun(self.agent)
        reviewed = " with reviewer" if content.get("tool_args", {}).get("enable_reviewer") else ""
        shown = {"message": f"Agent initialized{reviewed}", "vscode_url": None}
        await self.send("agent_initialized", shown)

    async def _query(self, content: Content) -> None:
        wrong = wrong_query(content)
        if wrong:
            await self._error(f"Invalid query content: {wrong}")
            return
        text = content.get("text", "")
        if text.startswith("/"):
            await self._command(text)
        elif self._busy:
            await self._error(BUSY)
        else:
            await self._start(content)

    async def _start(self, content: Content) -> None:
        await self.send("processing", {"message": "Processing your request..."})
        if self.agent is None:
            await self._error("Agent not initialized for this session")
            return
        resume, files = bool(content.get("resume", False)), list(content.get("files") or [])
        self.agent.start(content.get("text", ""), resume=resume, files=files)

    async def _command(self, text: str) -> None:
        name = text[1:].split(maxsplit=1)[0] if text[1:].split() else ""
        if name == "compact" and self.agent is not None and self.server.knobs.lost_compactions:
            self.agent.start_compacting(self.server.knobs.lost_compactions)
            self.cut()
            return
        if name == "compact" and self.agent is not None:
            self.agent.compact()
            summary = {"type": "compact", "message": "Conversation was compacted", "summary": "…"}
            await self.send("system", summary)
            await self.send("agent_response", {})
            return
        if name == "help":
            await self.send("system", {"message": "Available commands: /compact, /help"})
        else:
            await self._error(f"Unknown command: /{name}")
        await self.send("stream_complete", {})

    async def _workspace_info(self, _content: Content) -> None:
        await self.send("workspace_info", {"path": str(self.session.workspace)})

    async def _ping(self, _content: Content) -> None:
        await self.send("pong", {})

    async def _cancel(self, _content: Content) -> None:
        if self.agent is None:
            await self._error(NO_AGENT)
            return
        self.agent.cancel()
        await self.send("system", {"message": "Query cancelled"})

    async def _edit_query(self, content: Content) -> None:
        wrong = wrong_query(content)
        if wrong:
            await self._error(f"Invalid edit_query content: {wrong}")
            return
        if self.agent is None:
            await self._error(NO_AGENT)
            return
        self.agent.cancel()
        self.agent.forget_last_query()
        await self.send("system", {"message": "Session history cleared from last event to last user message"})
        await self.send("system", {"message": "Query editing mode activated"})
        if self._busy:
            await self._error(BUSY)
        else:
            await self._start(content)

    async def _enhance_prompt(self, content: Content) -> None:
        failed = self.server.cannot_use(content.get("model_name", ""))
        if failed:
            await self._error(f"Error processing request: {failed}")
            return
        asked = content.get("text", "")
        await self.send("prompt_generated", {"result": f"Better: {asked}", "original_request": asked})

    async def _review_result(self, content: Content) -> None:
        if self.agent is None:
            await self._error(NO_AGENT)
        elif not content.get("user_input"):
            await self._error("No user query found to review")
        else:
            await self.send(
                "system", {"type": "reviewer_agent", "message": "Reviewer agent is analyzing the output..."}
            )
