"""What is written down of an agent's run."""

from datetime import datetime
from typing import Any, Literal, get_args

from pydantic import Field

from blocks.model import Frozen

Phase = Literal[
    "run_started",
    "run_ended",
    "model_call",
    "decided",
    "asked",
    "answered",
    "started",
    "done",
    "failed",
    "stopped",
    "resumed",
    "plan",
    "message",
    "handoff",
    "memory",
    "policy",
    "notified",
    "recovered",
    "erased",
    "shortened",
]
PHASES: tuple[Phase, ...] = get_args(Phase)

LONGEST_ID = 4096


class Entry(Frozen):
    """One thing that happened.

    Attributes:
        entry_id: Names it within its run; appended again it is not written again.
        run_id: The agent's run.
        call_id: The tool call.
        agent: The agent's name.
        user: For whom it works.
        session: The conversation the run belongs to.
        phase: What happened. Three are the log's own: `recovered`: a write that was cut off has been moved aside;
            `erased`: what some records told was erased; `shortened`: the oldest days were taken away.
        tool: The tool's name.
        arguments: Of the call, JSON.
        arguments_hash: Over the exact arguments, which approvals are bound to.
        decision: `deny`, `forbid`, `ask`, `notify` or `allow`.
        rule: Which rule decided.
        policy_version: Of the rules it is from.
        risk: Of the tool.
        reversible: Whether it can be undone.
        reasoning: What the model or the person said about why.
        trigger: What led to it: the goal of a run, the reason of a decision.
        approvers: Who agreed.
        before: State before a change, JSON.
        after: State after it, JSON.
        outcome: How it ended.
        details: What else is known, JSON.
    """

    entry_id: str = Field(min_length=1, max_length=LONGEST_ID)
    run_id: str = Field(min_length=1, max_length=LONGEST_ID)
    call_id: str | None = None
    agent: str
    user: str
    session: str | None = None
    phase: Phase
    tool: str | None = None
    arguments: Any = None
    arguments_hash: str | None = None
    decision: str | None = None
    rule: str | None = None
    policy_version: str | None = None
    risk: str | None = None
    reversible: bool | None = None
    reasoning: str | None = None
    trigger: str | None = None
    approvers: tuple[str, ...] = ()
    before: Any = None
    after: Any = None
    outcome: str | None = None
    details: dict[str, Any] = Field(default_factory=dict[str, Any])


class Head(Frozen):
    """The latest record: whoever knows it notices when the log ends before it.

    Attributes:
        seq: Its number; 0 before the first record.
        hash: Its hash, hexadecimal.
    """

    seq: int = Field(ge=0)
    hash: str = Field(pattern=r"^[0-9a-f]{64}$")

    def __str__(self) -> str:
        return f"{self.seq}:{self.hash}"


BEGINNING = Head(seq=0, hash="0" * 64)


class Record(Frozen):
    """A line of the log.

    Attributes:
        seq: Counts from 1 over all days.
        prev: Hash of the record before.
        at: When, UTC; never before the previous record's.
        clock: What the clock said, where that was earlier than the previous record.
        entry: What happened.
        hash: HMAC-SHA256 over all else, hexadecimal.
    """

    seq: int
    prev: str
    at: datetime
    clock: datetime | None = None
    entry: Entry
    hash: str

    @property
    def head(self) -> Head:
        """Its place in the chain."""
        return Head(seq=self.seq, hash=self.hash)
