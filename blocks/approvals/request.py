"""What is asked of people, and what they say to it."""

from typing import Any, Literal, Self

from pydantic import AwareDatetime, Field, model_validator

from blocks.action import Risk, canonical, hash_of
from blocks.approvals.identity import person
from blocks.approvals.records import ID
from blocks.errors import BadInput, TooLarge
from blocks.model import Frozen

Channel = Literal["cli", "prefect", "gateway"]
"""How an answer came. What comes by a form of the Prefect UI bears the name that its writer chose."""

MAX_BYTES = 1_000_000
"""Of arguments, as JSON."""
REASON_CHARS = 2000


class ApprovalRequest(Frozen):
    """A call of a tool that waits for people.

    Raises:
        BadInput: the arguments are no JSON, or nobody is named as the requester.

    Attributes:
        approval_id: Names it; the same for the same call in every attempt of a run.
        run_id: Of the agent's run.
        call_id: Of the call.
        agent: The agent's name.
        requester: For whom the agent works; may not answer.
        begun_by: Who began the run, where that is another; may not answer either.
        tool: The tool.
        arguments: What it would be called with, for people: secrets may be taken out.
        arguments_hash: `blocks.action.hash_of` the tool and its exact arguments; what an approval is bound to.
        risk: Of the call.
        persons: How many different persons must approve.
        reason: Why it is asked.
        policy_version: Of the policy that asks.
        asked_at: When.
        expires_at: When it counts as denied.
        flow_run_id: The flow run that waits, if it is one.
    """

    approval_id: str = Field(pattern=f"^{ID.pattern}$")
    run_id: str
    call_id: str
    agent: str
    requester: str
    begun_by: str | None = None
    tool: str
    arguments: dict[str, Any]
    arguments_hash: str
    risk: Risk
    persons: int = Field(ge=1, le=2)
    reason: str = Field(default="", max_length=REASON_CHARS)
    policy_version: str = ""
    asked_at: AwareDatetime
    expires_at: AwareDatetime
    flow_run_id: str | None = None

    @property
    def askers(self) -> tuple[str, ...]:
        """Who may not answer."""
        return (self.requester, *((self.begun_by,) if self.begun_by else ()))

    @model_validator(mode="after")
    def _can_be_answered(self) -> Self:
        person(self.requester)  # without a name nobody could be told apart from who asks
        checked_hash(self.tool, self.arguments)
        return self


class Vote(Frozen):
    """What one person says to a request.

    Attributes:
        approval_id: The request.
        by: Who.
        verdict: What.
        arguments_hash: Of the arguments that are meant.
        arguments: These, where the person has changed them.
        reason: In their words.
        at: When.
        channel: How it came.
        seal: Made by who took it; see `blocks.approvals.seal`.
    """

    approval_id: str
    by: str
    verdict: Literal["approve", "deny"]
    arguments_hash: str
    arguments: dict[str, Any] | None = None
    reason: str = Field(default="", max_length=REASON_CHARS)
    at: AwareDatetime
    channel: Channel
    seal: str = ""


class Expiry(Frozen):
    """That nobody answered in time.

    Attributes:
        at: When that was found.
        seal: Made by who found it.
    """

    at: AwareDatetime
    seal: str = ""


class Approval(Frozen):
    """A request with all that was said to it, as it lies in the store.

    Attributes:
        request: What is asked.
        seal: Of the request.
        votes: In the order in which they came.
        expiry: Set when time ran out.
    """

    request: ApprovalRequest
    seal: str
    votes: tuple[Vote, ...] = ()
    expiry: Expiry | None = None

    def variants(self) -> dict[str, dict[str, Any]]:
        """All arguments that are on the table, by their hash; those of the request first."""
        edited = {vote.arguments_hash: vote.arguments for vote in self.votes if vote.arguments is not None}
        return {self.request.arguments_hash: self.request.arguments} | edited


class ApprovalDecision(Frozen):
    """What became of a request.

    Attributes:
        approved: Whether the call may be made, with the arguments that were asked about, or as they were changed.
        arguments: As they were changed; where they were not, those of the request, without its secrets.
        by: Who decided; empty when time ran out.
        reason: Theirs, or that time ran out.
        edited: Whether the arguments were changed.
        at: When it was decided.
    """

    approved: bool
    arguments: dict[str, Any]
    by: tuple[str, ...] = ()
    reason: str = ""
    edited: bool = False
    at: AwareDatetime


def checked_hash(tool: str, arguments: Any) -> str:
    """The hash of arguments that somebody gives.

    Raises:
        BadInput: they are no JSON, as NaN or half a surrogate pair.
        TooLarge: they are longer than `MAX_BYTES`.
    """
    try:
        size_bytes = len(canonical(arguments).encode())
    except (TypeError, ValueError, RecursionError) as error:
        raise BadInput(
            "the arguments are no JSON", fix="give an object of texts, numbers, lists and objects", field="arguments"
        ) from error
    if size_bytes > MAX_BYTES:
        raise TooLarge(f"the arguments have {size_bytes} bytes", fix=f"send at most {MAX_BYTES}", field="arguments")
    return hash_of(tool, arguments)
