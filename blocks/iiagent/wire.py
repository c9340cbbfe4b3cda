"""What the turns of a session work with: its state, its archive, and the one connection that is open at a time."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path, PurePosixPath
from typing import Any

import anyio
import structlog

from blocks.errors import EngineFailed
from blocks.iiagent.archive import Archive, Source, told
from blocks.iiagent.books import note_session
from blocks.iiagent.events import ENDS, Event, FileEdit, Frame, ToolCall, UnknownEvent
from blocks.iiagent.link import Link, Overdue
from blocks.iiagent.pace import Pace
from blocks.iiagent.paths import SESSION_ID
from blocks.iiagent.rest import AgentRest
from blocks.iiagent.server import AgentServer
from blocks.iiagent.state import SessionState, lease, write_state
from blocks.iiagent.transport import Lost
from blocks.iiagent.tree import in_thread
from blocks.iiagent.ws import WebSocketTransport

log = structlog.stdlib.get_logger("c500")

OnEvent = Callable[[Event], None]

NOTED = (ToolCall, FileEdit, *ENDS)
"""Events that the log shows; the others where it shows everything."""


class Wire:
    """The connection of a session, and what is kept of it.

    Args:
        server: The server.
        rest: Its REST interface, open.
        folder: Of the session.
        state: As it was last seen.
        pace: Time.
        on_event: Is told of every event.
    """

    def __init__(
        self,
        server: AgentServer,
        rest: AgentRest,
        folder: Path,
        state: SessionState,
        *,
        pace: Pace,
        on_event: OnEvent | None,
    ) -> None:
        self.server, self.rest, self.folder, self.state, self.pace = server, rest, folder, state, pace
        self.deadline = pace.now() + server.limits.total_s
        self.link: Link | None = None
        self.fresh = True
        self.count: Callable[[Event, int], None] | None = None
        self.archive = Archive(folder)
        self._initialized = False
        self._on_event = on_event
        self._lease = ExitStack()
        self._writing = asyncio.Lock()

    @property
    def session_id(self) -> str:
        """The session's id."""
        if self.state.session_id is None:
            raise RuntimeError("the session has no id yet")
        return self.state.session_id

    def take_lease(self) -> None:
        """Be the only one who drives the session. Raises `Conflict`, `StoreFailed`."""
        self._lease.enter_context(lease(self.session_id))

    async def save(self, **changes: Any) -> None:
        """Keep the state, changed; a cancellation waits for its end. Raises `StoreFailed`."""
        self.state = self.state.model_copy(update=changes)
        async with self._writing:  # one after another, and each writes what is true by then
            written = await in_thread(lambda: write_state(self.folder, self.state))
        self.state = self.state.model_copy(update={"updated_at": written.updated_at})

    async def connect(self) -> None:
        """Open the connection, where there is none.

        Raises:
            EngineUnavailable, NotAllowed, Unsupported: it cannot be opened.
            Lost: no greeting came.
            EngineFailed: the server opened another session than it was asked for.
        """
        if self.link is not None:
            return
        transport = WebSocketTransport(self.server, await self.rest.headers())
        link = Link(transport, self.server.limits, self.pace, self._note)
        try:
            greeting = await link.open(device_id=self.state.device_id, session_id=self.state.session_id)
            await self._greeted(greeting.workspace_path)
        except BaseException as error:
            with anyio.CancelScope(shield=True):
                await link.close()
            if isinstance(error, Overdue):
                raise Lost(error.message) from error
            raise
        self.link, self._initialized = link, False

    async def init(self) -> None:
        """Have the agent made, where it is not. Raises `Refused`, `Lost`, `Overdue`."""
        if self._initialized or self.link is None:
            return
        await self.link.init(self.server, self.state.model_key)
        self._initialized = self.fresh = True
        if self.state.status == "NEW":
            await in_thread(lambda: note_session(self.server.name, self.session_id))
            await self.save(status="READY")

    def forget_agent(self) -> None:
        """The next `init` makes it anew."""
        self._initialized = False

    async def hang_up(self) -> None:
        """Close the connection, where there is one."""
        link, self.link = self.link, None
        if link is not None:
            with anyio.CancelScope(shield=True):
                await link.close()
        if self.state.status == "NEW" and self.server.sandbox != "local" and self.state.session_id is not None:
            # Its sandbox was never made, and by the id the server would look for it: the next connection begins anew.
            self._lease.close()
            await self.save(session_id=None, workspace="")

    async def close(self) -> None:
        """Let go of everything."""
        with anyio.CancelScope(shield=True):
            try:
                await self.hang_up()
                await self.archive.flush()
            finally:
                self._lease.close()

    def replay(self, event: Event) -> None:
        """Take a stored event that never came."""
        content = event.content if isinstance(event, UnknownEvent) else event.model_dump(mode="json", by_alias=True)
        self.archive.keep("rest", {"type": event.type, "content": content})
        self._tell(event)

    async def _greeted(self, workspace: str) -> None:
        given = PurePosixPath(workspace.replace("\\", "/")).name
        if self.state.session_id is None and SESSION_ID.fullmatch(given):
            self.state = self.state.model_copy(update={"session_id": given.lower()})
            self.take_lease()
        elif given.lower() != self.state.session_id:
            raise EngineFailed(
                f"the agent server {self.server.name} opened another session than it was asked for",
                fix="use a server of v0.3 or later, which resumes sessions by their id",
            )
        if workspace != self.state.workspace:
            await self.save(workspace=workspace)

    async def _note(self, source: Source, frame: Frame, event: Event, size_bytes: int) -> None:
        self.archive.keep(source, frame)
        if source == "socket":
            if self.count is not None:
                self.count(event, size_bytes)
            self._tell(event)
        if self.archive.full:
            await self.archive.flush()

    def _tell(self, event: Event) -> None:
        level = logging.INFO if isinstance(event, NOTED) else logging.DEBUG
        if logging.getLogger("c500").isEnabledFor(level):  # else not worth half a millisecond
            log.log(level, "agent session", session_id=self.state.session_id, said=told(event))
        if self._on_event is not None:
            self._on_event(event)
