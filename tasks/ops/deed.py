"""A deed: one thing that an operations flow does to the world, and what came of it."""

from typing import Any, Literal

from pydantic import Field

from blocks.action import Action, Risk, Touched
from blocks.effects import StoredError
from blocks.model import Frozen

JSON = Any

Consent = Literal["rules", "one", "two"]
"""Who must agree before a deed: whoever the rules want; a person at least; two persons. It only narrows the rules."""

Status = Literal["done", "planned", "refused", "failed", "in_doubt"]
"""How a deed ended. `planned`: a dry run; `refused`: rules or people; `in_doubt`: its process died in the middle of it,
or lost sight of it, and it is not done again until a person has looked (`c500 effects`)."""


class Lost(Exception):
    """Nobody knows whether a deed was done, as when a connection breaks: it stays in doubt."""


class Deed(Frozen):
    """What is to be done.

    Attributes:
        name: Names it within its run, the same in every attempt, as `web-1/update-packages/install`.
        tool: What kind of deed it is, for rules: `run_on_host`, `delete_file`, `write_file`, `restart_service`, ….
        arguments: Exactly what is done, JSON; approvals are bound to it.
        says: What it does, in a line for people.
        risk: How much harm it may do.
        read_only: Whether it changes nothing.
        reversible: Whether it can be taken back.
        repeatable: Whether doing it twice is as doing it once: then one that was cut off is simply done again.
        outside: Whether others see it.
        touched: What it reaches.
        consent: Who must agree.
    """

    name: str = Field(min_length=1, max_length=500)
    tool: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    arguments: dict[str, Any]
    says: str
    risk: Risk = "medium"
    read_only: bool = False
    reversible: bool = False
    repeatable: bool = False
    outside: bool = False
    touched: Touched = Touched()
    consent: Consent = "rules"

    def action(self, user: str, flow: str) -> Action:
        """The deed as rules see it."""
        return Action(
            tool=self.tool,
            arguments=self.arguments,
            risk=self.risk,
            read_only=self.read_only,
            reversible=self.reversible,
            outside=self.outside,
            touched=self.touched,
            user=user,
            agent=flow,
        )


class Outcome(Frozen):
    """What came of a deed.

    Attributes:
        name: Of the deed.
        says: What it does, in a line for people.
        status: How it ended.
        result: What it gave, JSON, of a `done` one.
        error: Why it `failed`.
        why: Why it was refused, or is in doubt.
        approvers: Who agreed, where anybody was asked.
    """

    name: str
    says: str
    status: Status
    result: JSON = None
    error: StoredError | None = None
    why: str = ""
    approvers: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether it was done, or would have been in a run that is no dry run."""
        return self.status in ("done", "planned")

    def checked(self) -> "Outcome":
        """Itself, if it was done or planned. Raises the error that it failed with, `NotAllowed` or `InDoubt`."""
        from blocks.effects import InDoubt
        from blocks.errors import NotAllowed

        if self.ok:
            return self
        if self.error is not None:
            raise self.error.error()
        if self.status == "in_doubt":
            raise InDoubt(self.why, fix="look what happened, then `c500 effects settle` or `release`", deed=self.name)
        raise NotAllowed(
            f"{self.says}: {self.why}", fix="have it approved, or change the rules or the plan", deed=self.name
        )
