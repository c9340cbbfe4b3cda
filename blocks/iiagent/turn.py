"""One turn of a session: what the agent did with a prompt, how it ended, and what that took."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from pydantic import Field

from blocks.iiagent.events import STORED, AgentResponse, Event, ToolCall, UserMessage
from blocks.iiagent.faults import ErrorKind, error_of
from blocks.iiagent.named import names_in
from blocks.model import Frozen

COMPLETED = "Task completed"
"""The text of nearly every response, also of a run that did nothing."""

MAX_TURNS = "Agent did not complete after max turns"
MESSAGE_TOOL = "message_user"

TurnEnd = Literal["response", "interrupted", "max_turns", "error"]


class TurnError(Frozen):
    """Why a turn failed.

    Attributes:
        kind: A row of `faults.FAULTS`.
        message: What the server said, or what the client saw.
        fix: How to put it right.
    """

    kind: ErrorKind
    message: str
    fix: str


class Turn(Frozen):
    """What came of a prompt. That it ended with a response proves nothing: look at the files.

    Attributes:
        key: The caller's name of it; may be empty.
        ended: How.
        error: Why it failed; only where it ended with `error`.
        response: Text of the server's response.
        messages: What the agent said to the user.
        tool_calls: Calls by tool, `message_user` and `return_control_to_user` among them.
        files: Files that were edited or made, as the server named them, each once; see `names_in`.
        reconnects: Sockets that were lost and made up for.
        rotations: Changes to another model key.
        retries: Runs that ended with an error of the server and were gone on with.
        compactions: How often the conversation was compacted, as it was too long for the model.
        frames: Frames that came.
        bytes: Their bytes.
        seconds: All in all.
        recovered: Whether its end was read from the stored events, as its socket was lost.
    """

    key: str = ""
    ended: TurnEnd
    error: TurnError | None = None
    response: str = ""
    messages: tuple[str, ...] = ()
    tool_calls: dict[str, int] = Field(default_factory=dict)
    files: tuple[str, ...] = ()
    reconnects: int = 0
    rotations: int = 0
    retries: int = 0
    compactions: int = 0
    frames: int = 0
    bytes: int = 0
    seconds: float = 0.0
    recovered: bool = False

    @property
    def responded(self) -> bool:
        """Whether the server says that the run has come to its end."""
        return self.ended in ("response", "max_turns")

    @property
    def silent(self) -> bool:
        """Whether no tool was called at all: the model answered nothing, or named a tool that there is not."""
        return not self.tool_calls

    @property
    def answer(self) -> str:
        """The last thing the agent said; empty where it said nothing."""
        if self.messages:
            return self.messages[-1]
        return "" if self.response.strip() in (COMPLETED, MAX_TURNS) else self.response

    def check(self) -> "Turn":
        """The turn itself.

        Raises:
            C500Error: it failed; of the class that `faults.FAULTS` has for its kind.
        """
        if self.error is not None:
            raise error_of(self.error.kind, self.error.message)
        return self


@dataclass(kw_only=True)
class Tally:
    """What is counted while a turn goes on.

    Attributes:
        stored: Events of the kinds that the server keeps, without the queries.
    """

    stored: int = 0
    messages: list[str] = field(default_factory=list)
    tool_calls: Counter[str] = field(default_factory=Counter)
    files: dict[str, None] = field(default_factory=dict)
    response: str = ""

    @classmethod
    def of(cls, events: Iterable[Event]) -> "Tally":
        """That of stored events."""
        tally = cls()
        for event in events:
            tally.take(event)
        return tally

    def take(self, event: Event) -> None:
        """Count an event."""
        if isinstance(event, AgentResponse) and not event.ends_run:
            return  # the end of /compact
        if event.type in STORED and not isinstance(event, UserMessage):
            self.stored += 1
        self.files.update(dict.fromkeys(names_in([event])))
        if isinstance(event, AgentResponse):
            self.response = event.text
        elif isinstance(event, ToolCall):
            self.tool_calls[event.tool_name] += 1
            text = event.tool_input.get("text")
            if event.tool_name == MESSAGE_TOOL and isinstance(text, str):
                self.messages.append(text)


@dataclass(kw_only=True)
class Effort:
    """What a turn took, while it goes on; the fields are those of `Turn`."""

    reconnects: int = 0
    rotations: int = 0
    retries: int = 0
    compactions: int = 0
    frames: int = 0
    bytes: int = 0


def turn_of(
    key: str,
    ended: TurnEnd,
    error: TurnError | None,
    tally: Tally,
    effort: Effort,
    *,
    seconds: float,
    recovered: bool,
) -> Turn:
    """The turn that was counted."""
    return Turn(
        key=key,
        ended=ended,
        error=error,
        response=tally.response if ended in ("response", "max_turns") else "",
        messages=tuple(tally.messages),
        tool_calls=dict(tally.tool_calls),
        files=tuple(tally.files),
        seconds=seconds,
        recovered=recovered,
        **vars(effort),
    )
