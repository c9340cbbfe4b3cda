"""Runs and conversations of agents in the store: begun, ended, continued by id."""

import json
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, TypeVar

from pydantic import Field, ValidationError
from pydantic_ai.messages import ModelMessage

from blocks.action import Label
from blocks.errors import Conflict, NotAllowed, NotFound, StoreFailed
from blocks.model import Frozen
from blocks.store.files import Files
from tasks.agents.definition import AgentDefinition
from tasks.agents.exchange import as_json, from_json
from tasks.agents.given import smaller
from tasks.agents.result import AgentResult

R = TypeVar("R", bound=Frozen)

RUNS = "agents/runs"
SESSIONS = "agents/sessions"


class Begun(Frozen):
    """A run as it was begun; every later attempt goes by this, whatever has been changed since.

    Attributes:
        run_id: Of the run.
        goal: What it is to reach.
        definition: The agent as it was then, with the budget of this run.
        agent_usd: Dollars that the agent's own file allowed then, which no attempt passes; None for no limit.
        folder: Where the agent's definition lay, and its context files.
        profile: Autonomy profile.
        user: For whom it works.
        begun_by: Who began it: the login of the process.
        session: Its conversation.
        turns: Runs of the conversation before it.
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
    agent_usd: float | None = None
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


class Conversation(Frozen):
    """A conversation: what later runs of its session go on from.

    Attributes:
        user: Whose it is: nobody else goes on from it.
        runs: The runs that are in it, oldest first.
        labels: What they have seen.
        messages: What was said, as JSON.
    """

    user: str = ""
    runs: tuple[str, ...] = ()
    labels: tuple[Label, ...] = ()
    messages: list[Any] = Field(default_factory=list[Any])


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

    def begin(self, begun: Begun, before: Conversation) -> Begun:
        """Keep how a run was begun, and the conversation before it: other runs may add to that.

        Raises:
            Conflict: another process began it first.
        """
        if before.messages:
            self._files.put_bytes(f"{RUNS}/{begun.run_id}/history.json", json.dumps(before.messages).encode())
        self._files.put_if(f"{RUNS}/{begun.run_id}/begun.json", begun.model_dump_json(indent=1).encode(), None)
        return begun

    def allow_usd(self, begun: Begun, budget_usd: float) -> Begun:
        """Give a run that goes on another budget, within the agent's own; what it has spent counts."""
        allowed = smaller(begun.agent_usd, budget_usd)
        limits = begun.definition.limits.model_copy(update={"budget_usd": allowed})
        definition = begun.definition.model_copy(update={"limits": limits})
        changed = begun.model_copy(update={"definition": definition})
        self._files.put_bytes(f"{RUNS}/{begun.run_id}/begun.json", changed.model_dump_json(indent=1).encode())
        return changed

    def history(self, run_id: str) -> list[ModelMessage]:
        """The conversation before a run. Raises `StoreFailed`."""
        content = self._read(f"{RUNS}/{run_id}/history.json")
        try:
            return [] if content is None else from_json(content)
        except ValidationError as error:
            raise StoreFailed(
                f"the conversation before run {run_id} is damaged: {error.error_count()} faults",
                fix="begin a new run",
            ) from None

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
        return sorted(key.split("/")[2] for key in self._files.list(f"{RUNS}/") if key.endswith("/begun.json"))

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

    def conversation(self, session: str | None) -> Conversation:
        """The conversation so far; an empty one where there is none yet. Raises `StoreFailed`."""
        content = self._read(f"{SESSIONS}/{session}.json") if session else None
        try:
            return Conversation() if content is None else Conversation.model_validate_json(content)
        except ValidationError as error:
            raise StoreFailed(
                f"the conversation of session {session} is damaged: {error.error_count()} faults",
                fix="name another session",
            ) from None

    def join(self, session: str | None, user: str) -> Conversation:
        """The conversation so far, for somebody who goes on from it; a new one becomes theirs.

        Raises:
            NotAllowed: it is somebody else's.
            StoreFailed: it is damaged.
        """
        found = self.conversation(session)
        if session is None:
            return found
        if not found.user:
            found = found.model_copy(update={"user": user})
            self._files.put_bytes(f"{SESSIONS}/{session}.json", found.model_dump_json().encode())
        if found.user != user:
            raise NotAllowed(
                f"session {session} is not of {user}", fix="name another session", field="session", session=session
            )
        return found

    def continue_with(self, run: Begun, messages: Sequence[ModelMessage], labels: Sequence[Label]) -> None:
        """Keep the conversation with what a run has added, once for each run.

        Where others were faster than a run that was stopped in between, what it said comes behind what they said.

        Args:
            run: The run.
            messages: The conversation before it as it saw that, and what was said in it.
            labels: What it has seen.
        """
        before = self.conversation(run.session)
        if run.session is None or run.run_id in before.runs:
            return
        said = json.loads(as_json(messages))
        if len(before.runs) != run.turns:
            said = [*before.messages, *(one for one in said if one["run_id"] == said[-1]["run_id"])]
        after = Conversation(
            user=run.user,
            runs=(*before.runs, run.run_id),
            labels=tuple(sorted({*before.labels, *labels})),
            messages=said,
        )
        self._files.put_bytes(f"{SESSIONS}/{run.session}.json", after.model_dump_json().encode())

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
