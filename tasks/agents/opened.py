"""What a run of an agent works with, opened together and found by the run's id."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Generator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blocks.action import Label
from blocks.errors import StoreFailed
from tasks.agents.definition import AgentDefinition
from tasks.agents.guarded import GuardedRun
from tasks.agents.kept import Kept
from tasks.agents.tool import Call, Place, Tool

if TYPE_CHECKING:
    from collections.abc import Sequence

    from blocks.accounts.pool import Pool
    from blocks.agent_metrics import AgentMetrics, Change, LiveSession
    from blocks.approvals import ApprovalDecision, ApprovalRequest
    from blocks.audit import AuditLog
    from blocks.effects import EffectLedger
    from blocks.memory import Memory
    from blocks.policy import Policy
    from tasks.agents.team.governor import Governor

Ask = Callable[["ApprovalRequest"], Awaitable["ApprovalDecision"]]
Notify = Callable[[str], Awaitable[None]]


@dataclass(kw_only=True)
class Tally:
    """What a run took so far; counted anew in each attempt, what is replayed too.

    Attributes:
        steps: Answers of the model.
        actions: Tool calls that were made.
        prompt_tokens: Sent.
        completion_tokens: Answered.
        cost_usd: Dollars, as far as prices are known.
        refused: Tool calls that were not made, as `tool: reason`.
        in_doubt: Calls of which the agent was told that nobody knows whether they happened: the tool by its effect.
        would_change: What a dry run did not do, as `tool: what it would have done`.
    """

    steps: int = 0
    actions: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float = 0.0
    refused: list[str] = field(default_factory=list[str])
    would_change: list[str] = field(default_factory=list[str])
    in_doubt: dict[str, str] = field(default_factory=dict[str, str])


@dataclass(kw_only=True)
class Opened:
    """A run at work.

    Attributes:
        run_id: Of the run; the same in all its attempts.
        definition: The agent.
        goal: What it is to reach.
        user: For whom it works.
        begun_by: Who began it.
        session: The conversation it belongs to.
        profile: Which autonomy profile of the policy applies.
        attended: Whether somebody can be asked.
        dry_run: Whether only what reads is done.
        approval_s: Seconds that a question to a person stands.
        tools: What the agent has, by name.
        place: What tools may use.
        policy: The rules.
        audit: Where all is written down.
        effects: Which calls were done already.
        kept: What was decided already.
        ask: Waits for the answer.
        notify: Tells the operators.
        pool: The accounts.
        memory: What agents remember.
        metrics: Where it is counted what agents do.
        live: Shows that the run is at work.
        governor: Gives a second opinion on calls; None for none.
        hidden: Names of tools that the rules never allow: a model does not try what it does not see.
        notices: What the user should know of what the run has to do without.
        labels: What the run has seen so far.
        guarded: Its steps, actions and time, as the guard counts them.
        tally: What it took so far.
        waited_s: Seconds that it has waited for people in this attempt.
    """

    run_id: str
    definition: AgentDefinition
    goal: str
    user: str
    begun_by: str
    session: str | None
    profile: str
    attended: bool
    dry_run: bool
    approval_s: float
    tools: Mapping[str, Tool[Any]]
    place: Place
    policy: "Policy"
    audit: "AuditLog"
    effects: "EffectLedger"
    kept: Kept
    ask: Ask
    notify: Notify
    pool: "Pool"
    memory: "Memory"
    metrics: "AgentMetrics"
    live: "LiveSession"
    guarded: GuardedRun
    governor: "Governor | None" = None
    hidden: frozenset[str] = frozenset()
    notices: tuple[str, ...] = ()
    labels: set[Label] = field(default_factory=set[Label])
    tally: Tally = field(default_factory=Tally)
    waited_s: float = 0.0
    _notes: "list[Future[Any]]" = field(default_factory=list["Future[Any]"], init=False)
    _writer: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "audit"), init=False)

    def call(self, call_id: str) -> Call:
        """A tool call of the run."""
        return Call(run_id=self.run_id, call_id=call_id, agent=self.definition.name, user=self.user, place=self.place)

    def note(self, phase: str, entry_id: str, **facts: Any) -> None:
        """Have it written into the audit, once for each `entry_id`, before the run's next effect.

        For what is noted again in each attempt, as decisions and what only reads: a process that dies may take the note
        along, and the next attempt makes it again.
        """
        from blocks.audit import Entry

        facts = {"policy_version": self.policy.version} | facts
        entry = Entry(
            entry_id=f"{self.run_id}/{entry_id}",
            run_id=self.run_id,
            agent=self.definition.name,
            user=self.user,
            session=self.session,
            phase=phase,  # pyright: ignore[reportArgumentType] - pydantic checks it
            **facts,
        )
        self._notes.append(self._writer.submit(self.audit.append, entry))

    async def record(self, phase: str, entry_id: str, **facts: Any) -> None:
        """Write into the audit, once for each `entry_id`; when this returns it is on the disk, with all notes before.

        Raises:
            StoreFailed: it cannot be written; then nothing goes on.
        """
        self.note(phase, entry_id, **facts)
        await self.written()

    async def written(self) -> None:
        """Wait until all notes are on the disk. Raises as `record`."""
        notes, self._notes = self._notes, []
        for note in notes:
            # Shielded: a stop cancels who waits, and must not take back a note that is still to be written.
            await asyncio.shield(asyncio.wrap_future(note))

    def count(self, changes: "Sequence[Change]", name: str) -> None:
        """Have something counted for Prometheus, once for each name within the run; nothing waits for it."""
        self._writer.submit(self.metrics.add, changes, once=f"{self.run_id}/{name}")

    def close(self) -> None:
        """Let the last notes be written."""
        self._writer.shutdown()


_opened: dict[str, Opened] = {}
"""By run id: an agent's dependencies are its id, since what Prefect stores of a call cannot hold files and sockets."""


@contextmanager
def opened(work: Opened) -> Generator[Opened]:
    """Within, the run's capabilities and tools find what they work with."""
    _opened[work.run_id] = work
    try:
        yield work
    finally:
        del _opened[work.run_id]


def work_of(run_id: str) -> Opened:
    """What the run with this id works with."""
    return _opened[run_id]


def private_folder(home: Path, *parts: str) -> Path:
    """A folder that only its owner may enter; made when missing, as are those above it from `home` on.

    Raises:
        StoreFailed: it cannot be made.
    """
    folder = home.expanduser()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for part in parts:
            folder /= part
            folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise _unusable(home, f"{folder} cannot be made a folder: {error.strerror}") from error
    return folder


def check_home(home: Path) -> None:
    """Refuse an AGENTS_HOME in which nothing can be kept. Raises `StoreFailed`."""
    if not os.access(private_folder(home), os.R_OK | os.W_OK | os.X_OK):
        raise _unusable(home, "it may not be read or written by who runs this")


def _unusable(home: Path, why: str) -> StoreFailed:
    return StoreFailed(f"AGENTS_HOME is {home}: {why}", fix="set it to a folder that you may write to")
