"""Runs and conversations of agents in the store: begun, ended, continued by id."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_ai.messages import ModelMessage

from blocks.action import Label
from blocks.errors import Conflict, NotFound, StoreFailed
from blocks.model import Frozen
from blocks.store.files import Files
from tasks.agents.definition import AgentDefinition
from tasks.agents.exchange import as_json, from_json
from tasks.agents.result import AgentResult

R = TypeVar("R", bound=Frozen)

LABELS = TypeAdapter(tuple[Label, ...])
RUNS = "agents/runs"
SESSIONS = "agents/sessions"


class Begun(Frozen):
    """A run as it was begun; every later attempt goes by this, whatever has been changed since.

    Attributes:
        run_id: Of the run.
        goal: What it is to reach.
        definition: The agent as it was then.
        folder: Where the agent's definition lay, and its context files.
        profile: Autonomy profile.
        user: For whom it works.
        begun_by: Who began it: the login of the process.
        session: Its conversation.
        turns: Messages of the conversation before it.
        attended: Whether somebody can be asked.
        dry_run: Whether it only reads.
        approval_s: Seconds that a question to a person stands.
        workspace: Folder that the agent may work in.
        labels: What its goal and the conversation before it carry.
        started_at: When.
    """

    run_id: str
    goal: str
    definition: AgentDefinition
    folder: str
    profile: str
    user: str
    begun_by: str
    session: str | None
    turns: int
    attended: bool
    dry_run: bool
    approval_s: float
    workspace: str
    labels: tuple[Label, ...] = ()
    started_at: datetime


class RunStore:
    """Runs and conversations.

    Args:
        files: The store.
    """

    def __init__(self, files: Files) -> None:
        self._files = files

    def begun(self, run_id: str) -> Begun | None:
        """The run as it was begun; None when it was not."""
        content = self._read(f"{RUNS}/{run_id}/begun.json")
        return None if content is None else _parsed(Begun, content, run_id)

    def begin(self, begun: Begun) -> Begun:
        """Keep how a run was begun. Raises `Conflict` when another process began it first."""
        self._files.put_if(f"{RUNS}/{begun.run_id}/begun.json", begun.model_dump_json(indent=1).encode(), None)
        return begun

    def result(self, run_id: str) -> AgentResult | None:
        """What came of a run; None while it is not over."""
        content = self._read(f"{RUNS}/{run_id}/result.json")
        return None if content is None else _parsed(AgentResult, content, run_id)

    def end(self, result: AgentResult, messages: list[ModelMessage]) -> AgentResult:
        """Keep what came of a run, with all that was said in it."""
        self._files.put_bytes(f"{RUNS}/{result.run_id}/messages.json", as_json(messages))
        self._files.put_bytes(f"{RUNS}/{result.run_id}/result.json", result.model_dump_json(indent=1).encode())
        return result

    def suspend(self, run_id: str, flow_run_id: str) -> None:
        """Note which flow run waits to be resumed."""
        self._files.put_bytes(f"{RUNS}/{run_id}/suspended", flow_run_id.encode())

    def suspended(self, run_id: str) -> str | None:
        """The flow run of a deployment that was suspended last; None when none was."""
        content = self._read(f"{RUNS}/{run_id}/suspended")
        return None if content is None else content.decode()

    def ids(self) -> list[str]:
        """The ids of all runs, sorted."""
        return sorted({key.split("/")[2] for key in self._files.list(f"{RUNS}/")})

    @contextmanager
    def in_session(self, session: str | None) -> Generator[None]:
        """Have the conversation alone for the block.

        Raises:
            Conflict: another run is in it.
        """
        if session is None:
            yield
            return
        with self._files.lock(f"{SESSIONS}/{session}", wait=False) as alone:
            if not alone:
                raise Conflict(
                    f"another run is in session {session}", fix="wait until it has ended, or name another session"
                )
            yield

    def turns(self, session: str | None, most: int | None = None) -> list[ModelMessage]:
        """The conversation so far, or its first messages."""
        content = self._read(f"{SESSIONS}/{session}.json") if session else None
        if content is None:
            return []
        try:
            return from_json(content)[:most]
        except ValidationError as error:
            raise StoreFailed(
                f"the conversation of session {session} is damaged: {error.error_count()} faults",
                fix="name another session",
            ) from None

    def labels(self, session: str | None) -> tuple[Label, ...]:
        """What the conversation so far carries."""
        content = self._read(f"{SESSIONS}/{session}.labels.json") if session else None
        return () if content is None else LABELS.validate_json(content)

    def continue_with(self, session: str | None, messages: list[ModelMessage], labels: Sequence[Label]) -> None:
        """Keep the conversation with what a run has added, and what it carries by now."""
        if session is not None:
            # First the labels: a conversation must never seem cleaner than it is.
            self._files.put_bytes(f"{SESSIONS}/{session}.labels.json", LABELS.dump_json(tuple(labels)))
            self._files.put_bytes(f"{SESSIONS}/{session}.json", as_json(messages))

    def _read(self, key: str) -> bytes | None:
        try:
            return self._files.read_bytes(key)
        except NotFound:
            return None


def _parsed(kind: type[R], content: bytes, run_id: str) -> R:
    try:
        return kind.model_validate_json(content)
    except ValidationError as error:
        raise StoreFailed(
            f"the record of run {run_id} is damaged: {error.error_count()} faults",
            fix="begin a new run",
        ) from None
