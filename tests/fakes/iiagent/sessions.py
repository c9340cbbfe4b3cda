"""What the server keeps of a session on disk: workspace, stored events, history. It outlives the process."""

import json
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

PERSISTED = frozenset(
    {
        "user_message",
        "agent_thinking",
        "tool_call",
        "tool_result",
        "file_edit",
        "browser_use",
        "agent_response",
        "agent_response_interrupted",
    }
)
"""Types of events that REST shows later. Not: error, processing, system, pong."""

IN_DOCKER = "/workspace"

Message = dict[str, str]


@dataclass
class Session:
    """One session.

    Attributes:
        id: Its UUID; the folder of its workspace is called so.
        workspace: Folder with its files.
        kept: Folder with what is no file of the agent.
        docker: Whether the agent sees its workspace as /workspace.
        device_id: Who opened it; None: it is in no list.
        created_at: When an agent was first made in it; "" before, and then it is in no list either.
        name: Beginning of its first query.
        events: What REST shows, oldest first.
        runs: Queries that were started.
        compactions: How often its history was made shorter.
    """

    id: str
    workspace: Path
    kept: Path
    docker: bool = False
    device_id: str | None = None
    created_at: str = ""
    name: str = ""
    events: list[dict[str, Any]] = field(default_factory=list)
    runs: int = 0
    compactions: int = 0

    @property
    def shown_root(self) -> str:
        """The workspace as the agent sees it, and so as its events name it."""
        return IN_DOCKER if self.docker else str(self.workspace)

    @property
    def history(self) -> list[Message]:
        """The history as it was last saved."""
        path = self.kept / "history.json"
        return json.loads(path.read_text()) if path.exists() else []

    def save_history(self, history: list[Message]) -> None:
        """Replace the saved history; the last writer wins, as with the real one."""
        (self.kept / "history.json").write_text(json.dumps(history))

    def open(self) -> None:
        """Make its folders."""
        self.workspace.mkdir(parents=True, exist_ok=True)
        self.kept.mkdir(parents=True, exist_ok=True)

    def begin(self, device_id: str | None) -> None:
        """An agent is made in it: from the first one on it has a row in the list."""
        if not self.created_at:
            self.created_at, self.device_id = _now(), device_id
            self.save()

    def store(self, kind: str, content: dict[str, Any]) -> None:
        """Keep an event, if it is of a kind that is kept."""
        if kind not in PERSISTED:
            return
        event = {
            "id": str(uuid.uuid4()),
            "session_id": self.id,
            "timestamp": _now(),
            "event_type": kind,
            "event_payload": {"type": kind, "content": content},
            "workspace_dir": str(self.workspace),
        }
        self.events.append(event)
        with (self.kept / "events.jsonl").open("a") as lines:
            lines.write(json.dumps(event) + "\n")

    def forget_last_query(self) -> None:
        """Drop the events from the last user message on."""
        last = max((at for at, event in enumerate(self.events) if event["event_type"] == "user_message"), default=None)
        if last is not None:
            del self.events[last:]
            (self.kept / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in self.events))

    def save(self) -> None:
        """Write down its row."""
        row = {name: getattr(self, name) for name in ("device_id", "created_at", "name", "runs", "compactions")}
        (self.kept / "session.json").write_text(json.dumps(row))

    @property
    def row(self) -> dict[str, Any]:
        """As the list of sessions shows it."""
        return {
            "id": self.id,
            "workspace_dir": str(self.workspace),
            "created_at": self.created_at,
            "device_id": self.device_id,
            "name": self.name,
        }


@dataclass
class Sessions:
    """All sessions below one folder."""

    folder: Path
    docker: bool = False
    _open: dict[str, Session] = field(default_factory=dict)

    @property
    def workspaces(self) -> Path:
        """Folder with the workspaces."""
        return self.folder / "workspace"

    def find(self, session_id: str) -> Session | None:
        """A session that was opened before, also by an earlier process."""
        if session_id not in self._open and self._kept(session_id).is_dir():
            self._open[session_id] = self._read(session_id)
        return self._open.get(session_id)

    def open(self, session_id: str) -> Session:
        """A session, made if there is none."""
        session = self.find(session_id) or self._new(session_id)
        session.open()
        self._open[session_id] = session
        return session

    def of_device(self, device_id: str) -> list[Session]:
        """Sessions of a device, newest first."""
        kept = self.folder / "kept"
        ids = [path.name for path in kept.iterdir()] if kept.is_dir() else []
        found = [session for session in map(self.find, ids) if session and session.created_at]
        mine = [session for session in found if session.device_id == device_id]
        return sorted(mine, key=lambda session: session.created_at, reverse=True)

    def _kept(self, session_id: str) -> Path:
        return self.folder / "kept" / session_id

    def _new(self, session_id: str) -> Session:
        return Session(session_id, self.workspaces / session_id, self._kept(session_id), self.docker)

    def _read(self, session_id: str) -> Session:
        session = self._new(session_id)
        row, events = session.kept / "session.json", session.kept / "events.jsonl"
        known: dict[str, Any] = json.loads(row.read_text()) if row.exists() else {}
        for name, value in known.items():
            setattr(session, name, value)
        session.events = [json.loads(line) for line in events.read_text().splitlines()] if events.exists() else []
        return session


def _now() -> str:
    return datetime.now(UTC).isoformat()
