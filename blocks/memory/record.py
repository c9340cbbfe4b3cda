"""What is remembered, of whom, and where it came from."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from blocks.accounts.chat import Label as Storable
from blocks.action import Label
from blocks.model import Frozen

Kind = Literal["preference", "fact", "decision", "lesson", "episode"]
"""What a memory tells: how somebody wants it, what is so, what was decided, what was learned, what happened."""

KINDS: tuple[Kind, ...] = ("preference", "fact", "decision", "lesson", "episode")

State = Literal["active", "quarantined", "released", "archived", "forgotten"]
"""`active`: recalled. `quarantined`: kept back until a person has read it. `released`: recalled, a person has read it.
`archived`: no longer recalled, to make room. `forgotten`: no longer recalled, and erased after 30 days."""

STATES: tuple[State, ...] = ("active", "quarantined", "released", "archived", "forgotten")

MOST_CHARS = 4_000
"""Characters of one memory: what is longer is a document, and belongs into a file."""

Importance = Annotated[int, Field(ge=1, le=10)]
Name = Annotated[Storable, StringConstraints(max_length=200)]


class Namespace(Frozen):
    """Whose memory: no agent and no user sees that of another.

    Attributes:
        agent: The agent's name.
        user: For whom it works.
    """

    agent: Name
    user: Name


class Origin(Frozen):
    """Where a memory came from.

    Attributes:
        run_id: Run of the agent; empty when a person wrote it.
        call_id: The call that wrote it; run and call together are written once.
        tool: The tool that wrote it, or the person.
        labels: What the run had seen when it was written.
        at: When; set by the memory.
    """

    run_id: Name = ""
    call_id: Name = ""
    tool: Name = ""
    labels: frozenset[Label] = frozenset()
    at: datetime | None = None


class MemoryRecord(Frozen):
    """A memory; its text never changes.

    Attributes:
        memory_id: Names it.
        namespace: Whose it is.
        kind: What it tells.
        text: What it says; secrets are taken out.
        importance: 1 to 10.
        state: See `State`.
        reasons: Why it was kept back, in words; also of those that a person has released.
        accesses: How often it was recalled.
        created_at: When it was first written.
        used_at: When it was last recalled, or written.
        origins: Where it came from: every write of the same text, and all of what it was merged from.
        reviewed_by: The person who released it, or wrote it.
        forgotten_by: Who had it forgotten, a person or a run of an agent.
        merged_into: The memory that took its place; it is erased after 30 days.
    """

    memory_id: str
    namespace: Namespace
    kind: Kind
    text: str
    importance: Importance
    state: State
    reasons: tuple[str, ...] = ()
    accesses: int = 0
    created_at: datetime
    used_at: datetime
    origins: tuple[Origin, ...] = ()
    reviewed_by: str | None = None
    forgotten_by: str | None = None
    merged_into: str | None = None

    @property
    def labels(self) -> frozenset[Label]:
        """Of all its origins; none is ever lost, whoever released it."""
        return frozenset[Label]().union(*(origin.labels for origin in self.origins))

    @property
    def is_recalled(self) -> bool:
        """Whether agents are given it."""
        return self.state in RECALLED and self.merged_into is None


RECALLED: tuple[State, ...] = ("active", "released")


class Remembered(Frozen):
    """What became of a write.

    Attributes:
        record: The memory.
        is_new: Whether it was not known before.
    """

    record: MemoryRecord
    is_new: bool


class Recalled(Frozen):
    """A memory that fits a question.

    Attributes:
        record: The memory.
        similarity: To the question, 0 to 1.
        score: What it was ranked by.
    """

    record: MemoryRecord
    similarity: float
    score: float


class Recall(Frozen):
    """What fits a question, best first.

    Attributes:
        found: The memories.
        searched: `text` when there was no embedding of the question, since its server did not answer.
    """

    found: tuple[Recalled, ...] = ()
    searched: Literal["vectors and text", "text"] = "vectors and text"

    @property
    def labels(self) -> frozenset[Label]:
        """What a run has seen that was given these; what a person released is no longer untrusted.

        A memory that was written by a trusted run and later, word for word, by an untrusted one stays trusted: the
        second write added nothing.
        """
        labels = frozenset[Label]().union(*(one.record.labels for one in self.found))
        return labels - {"untrusted"}


class Erased(Frozen):
    """What became of an erasure.

    Attributes:
        memories: How many memories are gone.
        residue: Whether another process kept the file from being written anew, so that traces of them are left in it;
            the next consolidation, or another erasure, clears them.
    """

    memories: int
    residue: bool = False
