"""The scripted server: one loopback port with /ws, /api and /workspace, and everything a test wants to know after."""

import asyncio
import uuid
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.fakes.iiagent.agent import Agent, Run
from tests.fakes.iiagent.breaks import Breaks
from tests.fakes.iiagent.connection import LARGEST_FRAME_BYTES, Connection
from tests.fakes.iiagent.control import Control
from tests.fakes.iiagent.gates import Gates
from tests.fakes.iiagent.knobs import Knobs
from tests.fakes.iiagent.rest import LARGEST_BODY_BYTES, Rest
from tests.fakes.iiagent.scenarios import Scenario
from tests.fakes.iiagent.sessions import Session, Sessions
from tests.fakes.iiagent.step import Ending

HOST = "127.0.0.1"
RESTARTING = 1012
CLOSE_S = 2.0


class FakeServer:
    """A running server.

    Attributes:
        url: Base address, `http://127.0.0.1:PORT`; the socket is at /ws.
        received: Frames that came, by session.
        sent: Types of frames that went, by session.
        runs: All queries that were started, oldest first.
        uploads: Session, name and content of all uploads.
        downloads: Paths asked for below /workspace.
        peak_sockets: Most connections at once.
        peak_agents: Most agents at work at once in one session; more than 1 is a fault of the client.
        peak_working: Most calls of models and tools at once.
        faults: What failed in here, scripts of the test too.
        held: Frames, pings, farewells and requests that came while the server stood still.
        breaks: What is still to break.
        gates: Where runs stand until a test lets them go on.
    """

    def __init__(self, scenario: Scenario, knobs: Knobs, folder: Path, port: int) -> None:
        self.scenario = scenario
        self.knobs = knobs
        self.port = port
        self.url = f"http://{HOST}:{port}"
        self.gates = Gates()
        self.breaks = Breaks(self.gates, knobs.lost_replies)
        self.held = 0
        self.sessions = Sessions(folder, knobs.docker)
        self.received: defaultdict[str, list[Any]] = defaultdict(list)
        self.sent: defaultdict[str, list[str]] = defaultdict(list)
        self.runs: list[Run] = []
        self.uploads: list[tuple[str, str, bytes]] = []
        self.downloads: list[str] = []
        self.peak_sockets = 0
        self.peak_agents = 0
        self.peak_working = 0
        self.faults: list[BaseException] = []
        self._rest = Rest(self)
        self._connections: set[Connection] = set()
        self._agents: set[Agent] = set()
        self._at_work: Counter[str] = Counter()
        self._working = 0
        self._slots = asyncio.Semaphore(knobs.slots)
        self._changed = asyncio.Condition()
        self._frozen = ""
        self._made_busy: set[str] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._runner: web.AppRunner | None = None

    def workspace(self, session_id: str) -> Path:
        """Folder of a session's files."""
        return self.sessions.workspaces / session_id

    def open(self, gate: str) -> None:
        """Let runs through a gate."""
        self.gates.open(gate)
        if gate == self._frozen:
            self._frozen = ""

    async def reached(self, gate: str) -> None:
        """Wait until a run stands at a gate."""
        await self.gates.reached(gate)

    def cut_after(self, frames: int, side: str = "sent") -> None:
        """Break the connection without a close frame right after so many frames from now on, once.

        Args:
            frames: How many, over all connections.
            side: "sent" by the server, or "received": the last one of these is not answered.
        """
        self.breaks.cut_after(frames, side)

    def cut_download_after(self, size_bytes: int) -> None:
        """Break off the next download after so many bytes."""
        self.breaks.cut_download_after(size_bytes)

    async def until(self, true: Callable[[], object]) -> None:
        """Wait until something is so, looked at after every frame, connection and run."""
        async with self._changed:
            await self._changed.wait_for(true)

    async def idle(self) -> None:
        """Wait until no agent is at work."""
        await self.until(lambda: not +self._at_work)

    async def start(self) -> None:
        """Listen."""
        app = web.Application(client_max_size=LARGEST_BODY_BYTES, middlewares=[self._when_thawed])
        app.add_routes([web.get("/ws", self._talk), *self._rest.routes(), *Control(self).routes()])
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=CLOSE_S)
        await self._runner.setup()
        await web.TCPSite(self._runner, HOST, self.port).start()

    async def stop(self) -> None:
        """End as with SIGTERM: close code 1012, agents interrupted, histories saved."""
        await asyncio.gather(*(connection.close(RESTARTING) for connection in list(self._connections)))
        await self._end(Ending("interrupted"))

    async def kill(self) -> None:
        """End as with SIGKILL: nothing is said, and what a run knew is lost."""
        for agent in self._agents:
            agent.lose()
        for connection in list(self._connections):
            connection.cut()
        await self._end(Ending("lost", saves=False))

    async def restart(self) -> None:
        """Stop, and listen again at the same address."""
        await self.stop()
        await self.start()

    def spawn(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        """Run something beside."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._spawned_ended)
        return task

    def changed(self) -> None:
        """Whoever waits shall look again."""

        async def tell() -> None:
            async with self._changed:
                self._changed.notify_all()

        task = asyncio.create_task(tell())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def session_of(self, request: web.Request) -> Session:
        """The session that a connection is for.

        Raises:
            ValueError: its id is no UUID.
        """
        named = request.query.get("session_uuid")
        if named is not None and self.knobs.refuses_sessions:
            raise ValueError(named)
        return self.sessions.open(str(uuid.UUID(named)) if named is not None else str(uuid.uuid4()))

    def cannot_use(self, model: str) -> str:
        """Why a model cannot be used, "" if it can."""
        known = self.knobs.models is None or model in self.knobs.models
        return "" if known else f"LLM config not found for model: {model}"

    def cannot_begin(self, session: Session, model: str, *, named: bool) -> str:
        """Why no agent can be made, "" if it can."""
        if self.knobs.docker and named and not session.created_at:
            return f"404 Client Error: Not Found (no such container: {session.id})"
        return self.cannot_use(model)

    def begun(self, agent: Agent) -> None:
        """An agent was made."""
        self._agents.add(agent)
        if self.knobs.busy and agent.session.id not in self._made_busy:
            self._made_busy.add(agent.session.id)
            agent.start_waiting()

    def crowded(self, session_id: str) -> bool:
        """Whether more than one agent is at work in a session."""
        return self._at_work[session_id] > 1

    @contextmanager
    def at_work(self, session_id: str) -> Generator[None]:
        """Count a run of a session."""
        self._at_work[session_id] += 1
        self.peak_agents = max(self.peak_agents, self._at_work[session_id])
        if self.crowded(session_id):
            self.breaks.crowded(session_id)
        try:
            yield
        finally:
            self._at_work[session_id] -= 1

    @asynccontextmanager
    async def slot(self) -> AsyncGenerator[None]:
        """Have one of the few places where models and tools are called."""
        async with self._slots:
            self._working += 1
            self.peak_working = max(self.peak_working, self._working)
            try:
                yield
            finally:
                self._working -= 1

    async def model_time(self) -> None:
        """The time that a model takes."""
        await asyncio.sleep(self.knobs.turn_s)

    async def freeze(self, gate: str) -> None:
        """Stand still until a gate opens."""
        self._frozen = gate
        await self.gates.through(gate)

    def note_held(self) -> None:
        """Something came in; it is counted while the server stands still."""
        if self._frozen:
            self.held += 1
            self.changed()

    async def thawed(self) -> None:
        """Wait while the server stands still."""
        while self._frozen:
            await self.gates.through(self._frozen)

    def note_sent(self, connection: Connection, kind: str) -> None:
        """A frame went out."""
        self.sent[connection.session.id].append(kind)
        if self.breaks.counted_out("sent"):
            connection.cut()
        self.changed()

    def note_received(self, connection: Connection, frame: Any) -> bool:
        """A frame came in; True if the connection was cut at it."""
        self.received[connection.session.id].append(frame)
        self.changed()
        if not self.breaks.counted_out("received"):
            return False
        connection.cut()
        return True

    def _spawned_ended(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self.faults.append(task.exception() or AssertionError())
            self.changed()

    async def _talk(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(
            autoping=False, autoclose=False, max_msg_size=LARGEST_FRAME_BYTES, timeout=CLOSE_S
        )
        await socket.prepare(request)
        try:
            connection = Connection(self, request, socket)
        except ValueError:  # taken, and dropped without a close frame
            if request.transport is not None:
                request.transport.close()
            return socket
        self._connections.add(connection)
        self.peak_sockets = max(self.peak_sockets, len(self._connections))
        try:
            await connection.talk()
        except Exception as fault:
            self.faults.append(fault)
            raise
        finally:
            self._connections.discard(connection)
            self.changed()
        return socket

    @web.middleware
    async def _when_thawed(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        self.note_held()
        await self.thawed()
        return await handler(request)

    async def _end(self, ending: Ending) -> None:
        ended = [agent.end(ending) for agent in self._agents]
        self._agents.clear()
        self.open(self._frozen)
        if running := [task for task in ended if task is not None]:
            await asyncio.wait(running)
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
