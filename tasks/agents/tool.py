"""What a tool is: what it takes, what it does, and what it says of itself to those who guard it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pydantic import BaseModel

from blocks.action import Label, Risk, Touched

if TYPE_CHECKING:
    from blocks.redact import Redactor
    from blocks.sandbox import Sandbox
    from blocks.trash import Trash
    from blocks.workspace import Workspace

A = TypeVar("A", bound=BaseModel)

TIMEOUT_S = 60.0
OUTPUT_CHARS = 20_000


@dataclass(frozen=True, kw_only=True)
class Place:
    """What a tool may use.

    Attributes:
        workspace: The files the agent may see.
        sandbox: Where programs run.
        trash: Where deleted files go.
        redactor: Takes secrets out of what a tool gives back.
        private: Folder of ours, outside of the workspace, that no tool of the agent can reach.
    """

    workspace: "Workspace"
    sandbox: "Sandbox"
    trash: "Trash"
    redactor: "Redactor"
    private: Path


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call of a tool.

    Attributes:
        run_id: Of the agent's run.
        call_id: Of the call; `run_id/call_id` names its effect.
        agent: The agent's name.
        user: For whom it works.
        place: What the tool may use.
    """

    run_id: str
    call_id: str
    agent: str
    user: str
    place: Place

    @property
    def effect_id(self) -> str:
        """Names the call's effect; the same in every attempt of the run."""
        return f"{self.run_id}/{self.call_id}"


def touches_nothing(_arguments: Any, _place: Place) -> Touched:
    """Of a tool whose arguments reach nothing."""
    return Touched()


@dataclass(frozen=True, kw_only=True)
class Tool(Generic[A]):
    """A tool of agents.

    Attributes:
        name: `[a-z][a-z0-9_]*`.
        description: For the model: what it does and when to use it.
        arguments: Model of its arguments; `extra="forbid"`.
        call: Does it; what it gives back is JSON (text, number, list or mapping). A C500Error is told to the model.
        risk: What may go wrong at worst.
        reversible: Whether what it does can be undone.
        read_only: Whether it changes nothing; such a call is repeated after a crash.
        repeatable: Whether doing it twice is as doing it once, as writing the same file.
        outside: Whether others see its effect.
        labels: What its result carries.
        labels_of: What it carries beyond that, told from the result itself.
        touches: What a call would reach. Raises `NotAllowed` or `BadInput` for arguments that no rule could allow.
        timeout_s: Seconds a call may take.
        output_chars: Most characters of its result that the model sees; the rest is cut and said to be.
        polls: Whether the same call again and again is its use, as asking for a state; no loop is seen in it.
        preview: What it would do, for dry runs and approvers; None: the arguments say it.
    """

    name: str
    description: str
    arguments: type[A]
    call: Callable[[A, Call], Awaitable[Any]]
    risk: Risk = "medium"
    reversible: bool = False
    read_only: bool = False
    repeatable: bool = False
    outside: bool = False
    labels: frozenset[Label] = field(default_factory=frozenset[Label])
    labels_of: Callable[[Any], frozenset[Label]] = lambda _result: frozenset()
    touches: Callable[[A, Place], Touched] = touches_nothing
    timeout_s: float = TIMEOUT_S
    output_chars: int = OUTPUT_CHARS
    polls: bool = False
    preview: Callable[[A, Call], Awaitable[str]] | None = None
