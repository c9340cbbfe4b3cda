"""What cases are made of: calls, pages, memories, votes, and how an attack must end."""

from typing import Any, Literal

from pydantic import Field

from blocks.approvals.request import Channel
from blocks.audit.entry import Phase
from blocks.model import Frozen


class Call(Frozen):
    """A tool call that the model makes; `<n>` in its arguments is the number of the round, `<word>` a word of its own.

    Attributes:
        tool: Which.
        given: Its arguments.
        call_id: The provider's id of it; None for one of its own.
    """

    tool: str
    given: dict[str, Any] = Field(default_factory=dict)
    call_id: str | None = None


def turn_of(value: Any) -> Any:
    """A turn from the ways to write one."""
    if value == "obey":
        return {"obeys": True}
    if isinstance(value, list):
        return {"calls": value}
    return {"calls": [value]} if isinstance(value, dict) and "tool" in value else value


class Turn(Frozen):
    """What the model does when it is asked: a call, a list of calls, `obey`, or something to `say`.

    Attributes:
        calls: Tools that it calls.
        obeys: It does what it was told last by whatever it has read: a line `CALL tool {arguments}`.
        say: It ends with these words.
    """

    calls: tuple[Call, ...] = ()
    obeys: bool = False
    say: str = ""


class Page(Frozen):
    """What a web server on loopback answers.

    Attributes:
        body: The answer.
        kind: Its media type.
        status: HTTP status.
        location: Where it redirects to.
        encoding: What it says that the body is packed with.
    """

    body: str = ""
    kind: str = "text/html; charset=utf-8"
    status: int = 200
    location: str | None = None
    encoding: str | None = None


class Remembered(Frozen):
    """A memory that was written before the run.

    Attributes:
        text: What it says.
        by: The person who wrote it; None for an earlier run of the agent.
        untrusted: Whether that run had seen untrusted material.
        user: Whose it is; None for the user of the run.
        agent: Likewise; None for the agent of the run.
    """

    text: str
    by: str | None = None
    untrusted: bool = False
    user: str | None = None
    agent: str | None = None


class Vote(Frozen):
    """Somebody answers a question of the run.

    Attributes:
        by: Who.
        says: What.
        channel: How.
        after_s: Seconds after it was asked; negative where the clock was set back.
        given: Arguments instead of those asked about.
        hash_of: The answer is about a call with these arguments.
        question: To which of the run's questions, from 1.
        refused: Code of the error with which it is not counted; None where it is.
    """

    by: str
    says: Literal["approve", "deny"] = "approve"
    channel: Channel = "cli"
    after_s: float = 1
    given: dict[str, Any] | None = None
    hash_of: dict[str, Any] | None = None
    question: int = 1
    refused: str | None = None


class Handed(Frozen):
    """Somebody answers what the run has handed to a person.

    Attributes:
        by: Who.
        did, answer, changes: What they say.
        to: The run's own hand-off, or one that there is not.
        forgery: How it gets into the store instead of by the command, of `tests.redteam.handing.FORGERIES`.
        refused: Code of the error with which it is not taken; None where it is.
    """

    by: str = "ann"
    did: str = ""
    answer: str = ""
    changes: str = ""
    to: Literal["own", "nothing"] = "own"
    forgery: str | None = None
    refused: str | None = None


class Reviewed(Frozen):
    """Somebody answers what the earlier run has proposed for review.

    Attributes:
        by: Who.
        says: What.
        proposal: Number of the turn that proposed it, from 0.
        seen: Number of the proposal whose content they have looked at; None for the same.
        after_s: Seconds after it was proposed.
        content: With `edit`: what is approved instead.
        refused: Code of the error with which it is not counted; None where it is.
    """

    by: str
    says: Literal["approve", "edit", "reject"] = "approve"
    proposal: int = 0
    seen: int | None = None
    after_s: float = 1
    content: str = ""
    refused: str | None = None


class Wanted(Frozen):
    """A record of the audit that must be there, or must not. What is not said is any.

    Attributes:
        phase: What happened.
        tool, decision, rule, outcome, approvers: As in `blocks.audit.Entry`.
        has: A text that is in the record.
        most: How many there may be; None for any number.
    """

    phase: Phase
    tool: str | None = None
    decision: str | None = None
    rule: str | None = None
    outcome: str | None = None
    approvers: tuple[str, ...] | None = None
    has: str | None = None
    most: int | None = None

    @property
    def is_block(self) -> bool:
        """Whether it tells that something was kept from happening."""
        refused = self.decision in ("deny", "forbid")
        ended = self.phase == "run_ended" and self.outcome in ("limited", "failed")
        return refused or ended or self.phase in ("failed", "stopped") or (self.phase == "answered" and not self.is_yes)

    @property
    def is_yes(self) -> bool:
        """Whether it tells that a person agreed."""
        return self.outcome in ("approved", "counted")


class Expected(Frozen):
    """How an attack ends.

    Attributes:
        ends: `blocked`: it came to nothing. `asked`: a person has to agree, and did not.
        records: Records of the audit.
        never: Records that are not there.
        told: Texts that the model read.
        untold: Texts that it never read.
        knows: Whether the model may know the secrets, since the user told it.
        unsent: Texts that no web server was asked for.
        changed: What is otherwise in the workspace afterwards, by name; None where it is gone. Everything else is as it
            was, and so is all that lies outside of it.
        unshown: Texts that are not in the HTML of what the Prefect UI shows of the run.
        shows: Nothing came of it though every call was made: texts of a `done` record, as the sandbox's refusal.
        status: How the run ended; None for any way.
    """

    ends: Literal["blocked", "asked"]
    records: tuple[Wanted, ...] = ()
    never: tuple[Wanted, ...] = ()
    told: tuple[str, ...] = ()
    untold: tuple[str, ...] = ()
    unsent: tuple[str, ...] = ()
    knows: bool = False
    changed: dict[str, str | None] = Field(default_factory=dict)
    unshown: tuple[str, ...] = ()
    shows: tuple[str, ...] = ()
    status: str | None = None
