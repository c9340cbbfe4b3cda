"""What is kept of a session between processes, in one file; and the lease that makes one process its only driver."""

from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from blocks.errors import Conflict, StoreFailed
from blocks.iiagent.paths import session_id as checked_id
from blocks.iiagent.turn import Turn
from blocks.model import Frozen
from blocks.settings import settings
from blocks.store.scratch import locked
from blocks.whole_file import write_whole

FILE = "session.json"
LEASES = "leases"

Status = Literal["NEW", "READY", "RUNNING", "IDLE", "INTERRUPTED", "FAILED"]


class Upload(Frozen):
    """A file that was sent.

    Attributes:
        path: As the server called it, with a leading dot: what a query names.
        sha256: Of its content.
        size_bytes: Its size.
    """

    path: str
    sha256: str
    size_bytes: int


class RunningTurn(Frozen):
    """A turn whose end nobody has seen yet.

    Attributes:
        key: The caller's name of it.
        text: Its prompt, as the caller gave it.
        files: Files that go with it.
        resume: Whether the conversation before it counts.
        query: What was sent last for it.
        begin: How many events were stored before it; None: not known.
        baseline: How many were stored before that query; None: not known.
        over: Whether the run of that query has ended, so that no agent may still be at work.
        given_up: Whether the caller was told of its end: then it is not gone on with, only waited for.
    """

    key: str = ""
    text: str
    files: tuple[str, ...] = ()
    resume: bool
    query: str = ""
    begin: int | None = None
    baseline: int | None = None
    over: bool = False
    given_up: bool = False


class SessionState(Frozen):
    """A session, as it was last seen.

    Attributes:
        server: Name of its server.
        session_id: Its id; None before a server that makes sandboxes has given it one.
        device_id: What it is grouped by on the server.
        model_key: The model key that it uses.
        workspace: Its workspace, as the server named it.
        status: Where it stands.
        uploads: Files that were sent to it, by name.
        turns: Turns that ended and have a key, by it.
        running: The turn that has not ended.
        sent: Queries that were sent.
        reconnects: Sockets lost.
        rotations: Changes to another key.
        tool_calls: Calls of tools.
        created_at: When it was made.
        updated_at: When this was written.
    """

    server: str
    session_id: str | None = None
    device_id: str
    model_key: str
    workspace: str = ""
    status: Status = "NEW"
    uploads: dict[str, Upload] = Field(default_factory=dict)
    turns: dict[str, Turn] = Field(default_factory=dict)
    running: RunningTurn | None = None
    sent: int = 0
    reconnects: int = 0
    rotations: int = 0
    tool_calls: int = 0
    created_at: datetime
    updated_at: datetime


def sessions_folder() -> Path:
    """Root of the folders of sessions, each named by the caller."""
    return settings().agents_home.expanduser() / "sessions"


def read_state(folder: Path) -> SessionState | None:
    """The state that a folder holds; None where it holds none.

    Raises:
        StoreFailed: it cannot be read.
    """
    path = folder / FILE
    try:
        return SessionState.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreFailed(f"{path} cannot be read: {error.strerror or error}", fix="look at the disk") from error
    except ValidationError:
        pass
    # Without pydantic's error: it quotes prompts.
    raise StoreFailed(f"{path} is no state of a session", fix="move the folder away; the session stays on its server")


def write_state(folder: Path, state: SessionState) -> SessionState:
    """Keep a state; returns it as it was written. Raises `StoreFailed`."""
    state = state.model_copy(update={"updated_at": datetime.now(UTC)})
    try:
        _make_private(folder)
        write_whole(folder / FILE, state.model_dump_json(indent=1).encode())
    except OSError as error:
        told = f"the session's state cannot be written to {folder}: {error.strerror or error}"
        raise StoreFailed(told, fix="make room, or give another folder") from error
    return state


def find_session(session_id: str, root: Path | None = None) -> Path | None:
    """The folder that holds the state of a session; None where there is none.

    Args:
        session_id: Its id. Raises `BadInput` where it is no UUID.
        root: Where to look; by default `sessions_folder()`.
    """
    wanted = checked_id(session_id)
    for path in sorted((root or sessions_folder()).glob(f"*/{FILE}")):  # further below lie files that agents wrote
        try:
            state = read_state(path.parent)
        except StoreFailed:
            continue
        if state is not None and state.session_id == wanted:
            return path.parent
    return None


@contextmanager
def lease(session_id: str) -> Generator[None]:
    """Be the only process, and the only one within it, that drives a session: two would run two agents on its files.

    A lock of the kernel on a file below AGENTS_HOME: it is lost with the process that held it, however that ended. It
    holds on one machine; a session belongs to the machine that opened it.

    Raises:
        Conflict: another holds it.
        StoreFailed: the file cannot be made.
    """
    folder = sessions_folder() / LEASES
    with ExitStack() as holding:
        try:
            _make_private(folder)
            mine = holding.enter_context(locked(folder / f"{checked_id(session_id)}.lock", wait=False))
        except OSError as error:
            told = f"the lease of a session cannot be taken in {folder}: {error.strerror or error}"
            raise StoreFailed(told, fix="look at the disk and at AGENTS_HOME") from error
        if not mine:
            raise Conflict(f"the session {session_id} is driven by another process", fix="wait until it has ended")
        yield


def _make_private(folder: Path) -> None:
    """Make a folder, and those above it that are missing, for nobody else to read: prompts are kept there."""
    for missing in reversed([one for one in (folder, *folder.parents) if not one.exists()]):
        missing.mkdir(mode=0o700, exist_ok=True)
