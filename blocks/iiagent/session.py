"""A session with an agent: opened, gone on with after whatever happened, and driven turn by turn."""

import asyncio
import uuid
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import anyio

from blocks.errors import BadInput, C500Error, Conflict
from blocks.iiagent.course import Course
from blocks.iiagent.cures import Failed
from blocks.iiagent.events import UserMessage
from blocks.iiagent.faults import error_of
from blocks.iiagent.pace import Halted, Nap, Pace
from blocks.iiagent.paths import session_id as checked_id
from blocks.iiagent.query import check_prompt
from blocks.iiagent.rest import AgentRest
from blocks.iiagent.server import AgentServer
from blocks.iiagent.settle import last_run
from blocks.iiagent.state import RunningTurn, SessionState, Upload, read_state, sessions_folder
from blocks.iiagent.stored import for_query
from blocks.iiagent.transport import Lost
from blocks.iiagent.turn import Turn
from blocks.iiagent.wire import OnEvent, Wire
from blocks.progress import in_thread

__all__ = ["AgentSession", "Pace", "open_session", "sessions_folder"]


class AgentSession:
    """An open session; made by `open_session`.

    Args:
        wire: Its connection and state.
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._nap: Nap | None = None
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def session_id(self) -> str:
        """Its id."""
        return self._wire.session_id

    @property
    def server(self) -> AgentServer:
        """Where it runs."""
        return self._wire.server

    @property
    def rest(self) -> AgentRest:
        """The REST interface of its server, open."""
        return self._wire.rest

    @property
    def state(self) -> SessionState:
        """What is kept of it."""
        return self._wire.state

    @property
    def folder(self) -> Path:
        """Where that is kept."""
        return self._wire.folder

    @property
    def workspace(self) -> str:
        """The path of its workspace, as the server names it."""
        return self._wire.state.workspace

    @property
    def is_connected(self) -> bool:
        """Whether it has a connection; without one it waits for its server, or for the end of an earlier run."""
        return self._wire.link is not None

    @property
    def unfinished(self) -> str | None:
        """The prompt of a turn that a process left unfinished."""
        running = self._wire.state.running
        return None if running is None or running.given_up else running.text

    async def turn(self, text: str, *, files: Sequence[str] = (), resume: bool | None = None, key: str = "") -> Turn:
        """Give the agent a prompt, and wait for what comes of it, whatever happens on the way.

        Args:
            text: The prompt.
            files: Uploaded files that go with it, as the server named them.
            resume: Whether the conversation before counts; None: it does, where there is one.
            key: Your name of the turn: one that has come to a response under it, in a killed process too, is given
                again and not run again. A turn that was left unfinished is gone on with under its key, or without one
                by its prompt.

        Returns:
            How it ended; of failures of the server and the model, too.

        Raises:
            BadInput, TooLarge: the prompt cannot be sent.
            Conflict: another turn goes on in this session.
            StoreFailed: the state or the archive cannot be written.
        """
        check_prompt(text, self.server.limits.query_bytes)
        if key in self.state.turns:
            return self.state.turns[key]
        if self._nap is not None:
            raise Conflict("a turn goes on in this session", fix="wait for its end, or cancel it")
        before = self.state.running
        if before and not before.given_up and before.key == key and (key or before.text == text):
            running, before = before, None
        else:
            counts = bool(self.state.sent) if resume is None else resume
            running = RunningTurn(
                key=key, text=text, files=tuple(for_query(path) for path in files), resume=counts, over=True
            )
        self._nap = Nap(self._wire.pace)
        self._idle.clear()
        try:
            return await self._run(Course(self._wire, self._nap), running, before)
        finally:
            self._nap = None
            self._idle.set()

    async def cancel(self, within_s: float | None = None) -> None:
        """Call off the turn that goes on, from another task: it ends as interrupted, soon or after `cancel_s`.

        Args:
            within_s: After so many seconds, where that is less.
        """
        if self._nap is None:
            return
        cancel_s = self.server.limits.cancel_s
        self._nap.halt()
        with suppress(TimeoutError):
            async with asyncio.timeout(cancel_s if within_s is None else min(cancel_s, within_s)):
                with suppress(Lost):
                    if self._wire.link is not None:
                        await self._wire.link.send("cancel", {})
                await self._idle.wait()
                return
        if self._wire.link is not None:  # the turn sees it as lost
            await self._wire.link.close()

    async def note(self, /, **uploads: Upload) -> None:
        """Keep what was uploaded, by name. Raises `StoreFailed`."""
        await self._wire.save(uploads=self.state.uploads | uploads)

    async def _run(self, course: Course, running: RunningTurn, before: RunningTurn | None) -> Turn:
        try:
            return await course.run(running, before)
        except BaseException as error:
            # Nothing that still comes may be taken for an answer to the next turn.
            with anyio.CancelScope(shield=True):
                if isinstance(error, asyncio.CancelledError):
                    with suppress(C500Error):  # a cancellation stays one
                        await course.stop()
                        await self._wire.save(status="INTERRUPTED")
                await self._wire.hang_up()
            raise


@asynccontextmanager
async def open_session(
    server: AgentServer,
    folder: Path,
    *,
    session_id: str | None = None,
    model_key: str | None = None,
    on_event: OnEvent | None = None,
    pace: Pace | None = None,
) -> AsyncGenerator[AgentSession]:
    """Open a session: a new one, that of the folder, or one that the server has.

    Only one process at a time has it, on one machine; see `state.lease`.

    Args:
        server: Where.
        folder: Of this session alone; made where it is missing. With the same folder the same session goes on, also
            after the process was killed.
        session_id: One that the server has, or shall have.
        model_key: The model key to begin with; by default the first of the server.
        on_event: Is told of every event, quickly.
        pace: Time, for tests.

    Raises:
        BadInput: the session id is none, or the folder holds another session.
        Conflict: another process has the session.
        Unsupported: the server speaks a protocol that this client does not.
        NotAllowed, EngineUnavailable: it takes no connection.
        EngineFailed, LimitReached, TimedOut: it makes no agent; `details["kind"]` says why.
        StoreFailed: the folder cannot be read or written.
    """
    state = await in_thread(_state_in, folder, server, session_id, model_key)
    async with AgentRest(server) as rest:
        await rest.flavor()
        wire = Wire(server, rest, folder, state, pace=pace or Pace(), on_event=on_event)
        try:
            if state.session_id is not None:
                wire.take_lease()
                # Before the lease was ours, its holder may have gone on.
                wire.state = await in_thread(_state_in, folder, server, state.session_id, model_key)
            await _prepare(wire, known=session_id is not None)
            yield AgentSession(wire)
        finally:
            await wire.close()


async def _prepare(wire: Wire, *, known: bool) -> None:
    """Connect, unless an earlier run may still go on: then the first turn does, once that is over."""
    if known and wire.state.status == "NEW":
        await _adopt(wire)
    await wire.save()
    running = wire.state.running
    if running is not None and not running.over:
        return
    try:
        await Course(wire, Nap(wire.pace)).prepare()
    except Failed as failed:
        if isinstance(failed.__cause__, C500Error):
            raise failed.__cause__ from None
        raise error_of(failed.error.kind, failed.error.message) from failed
    except Halted:  # pragma: no cover - nobody has the nap
        raise RuntimeError("nobody could call it off") from None


async def _adopt(wire: Wire) -> None:
    """Take over a session that this folder knows nothing of: its last run may still go on."""
    events = await wire.rest.events(wire.session_id)
    asked = sum(isinstance(stored.event, UserMessage) for stored in events)
    if not asked:
        return
    anyone = RunningTurn(text="", resume=True, given_up=True)
    over = last_run(events, anyone).end is not None
    running = None if over else anyone
    wire.state = wire.state.model_copy(update={"sent": asked, "running": running, "status": "READY"})


def _state_in(folder: Path, server: AgentServer, session_id: str | None, model_key: str | None) -> SessionState:
    """The state of a folder; a new one where there is none."""
    wanted = None if session_id is None else checked_id(session_id)
    found = read_state(folder)
    if found is not None:
        if wanted not in (None, found.session_id):
            raise BadInput(
                f"{folder} holds the session {found.session_id}", fix="give another folder", field="session_id"
            )
        if found.server != server.name:
            raise BadInput(
                f"the session in {folder} is one of the server {found.server}", fix="give that server", field="server"
            )
        kept = found.model_key if found.model_key in server.model_keys else server.model_keys[0]
        return found.model_copy(update={"model_key": model_key or kept})
    now = datetime.now(UTC)
    new = str(uuid.uuid4()) if server.sandbox == "local" else None
    return SessionState(
        server=server.name,
        session_id=wanted or new,
        device_id=str(uuid.uuid4()),
        model_key=model_key or server.model_keys[0],
        created_at=now,
        updated_at=now,
    )
