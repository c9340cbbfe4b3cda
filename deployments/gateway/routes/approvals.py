"""What agents ask before they do it: listed, looked at, answered. Who answers is the key's owner."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from pydantic import AwareDatetime, Field

from blocks.action import Risk
from blocks.approvals.request import MAX_BYTES, REASON_CHARS, Channel
from blocks.approvals.shown import state_of
from blocks.approvals.tally import tally
from blocks.errors import BadInput
from blocks.keys import ApiKey
from blocks.model import Frozen
from blocks.progress import in_thread
from deployments.gateway.desk import Desk, name_of
from deployments.gateway.web.auth import needs

if TYPE_CHECKING:
    from blocks.approvals import Approval
    from blocks.escalation import Escalation

MAX_BODY_BYTES = 2 * MAX_BYTES


class GivenVote(Frozen):
    """What a person said."""

    by: str
    verdict: Literal["approve", "deny"]
    arguments_hash: str
    arguments: dict[str, Any] | None = Field(description="As this person changed them.")
    reason: str
    at: AwareDatetime
    channel: Channel


class Outcome(Frozen):
    """What it came to."""

    approved: bool
    arguments: dict[str, Any]
    by: tuple[str, ...]
    reason: str
    edited: bool
    at: AwareDatetime


class ApprovalDetail(Frozen):
    """A call that waits for people, or did."""

    approval_id: str
    state: str = Field(description="`open VOTES/PERSONS`, `approved`, `approved, edited` or `denied`.")
    run_id: str
    call_id: str
    agent: str
    requester: str = Field(description="For whom the agent works; may not answer.")
    begun_by: str | None = Field(description="Who began the run; may not answer either.")
    tool: str
    arguments: dict[str, Any] = Field(description="What it would be called with; secrets are taken out.")
    arguments_hash: str = Field(description="Of the exact arguments; an approval names the hash that it is for.")
    risk: Risk
    persons: int = Field(description="How many different persons must approve the same arguments.")
    reason: str
    asked_at: AwareDatetime
    expires_at: AwareDatetime = Field(description="When it counts as denied.")
    votes: tuple[GivenVote, ...]
    decision: Outcome | None
    acknowledged_by: str | None = Field(description="Who has it in hand.")


class ApprovalList(Frozen):
    """Calls that wait for people, oldest first."""

    approvals: tuple[ApprovalDetail, ...]


class ApprovalAnswer(Frozen):
    """What you say to it."""

    decision: Literal["approve", "deny", "acknowledge"] = Field(
        description="`acknowledge`: you have it in hand, and nobody further up is told; the time to answer goes on."
    )
    arguments_hash: str | None = Field(
        default=None, max_length=64, description="Of the arguments that you have seen; needed to approve."
    )
    arguments: dict[str, Any] | None = Field(default=None, description="Approve these instead: all of them.")
    reason: str = Field(default="", max_length=REASON_CHARS, description="The agent is told it.")


@get(
    "/v1/approvals",
    opt=needs("approve"),
    operation_id="listApprovals",
    summary="What agents ask before they do it",
    tags=["agents"],
)
async def list_approvals(
    desk: NamedDependency[Desk],
    which: Annotated[
        Literal["open", "all"], QueryParameter(description="`open` waits for an answer; `all` is also what is decided.")
    ] = "open",
) -> ApprovalList:
    """List calls of agents that wait for a person."""
    found = await in_thread(desk.approvals.pending if which == "open" else desk.approvals.every)
    return ApprovalList(approvals=tuple([await _detail(desk, one) for one in found]))


@get(
    "/v1/approvals/{approval_id:str}",
    opt=needs("approve"),
    operation_id="readApproval",
    summary="One such question",
    tags=["agents"],
)
async def read_approval(approval_id: FromPath[str], desk: NamedDependency[Desk]) -> ApprovalDetail:
    """Read what exactly an agent would do, and who has said what to it."""
    return await _detail(desk, await in_thread(desk.approvals.read, approval_id))


@post(
    "/v1/approvals/{approval_id:str}",
    opt=needs("approve"),
    status_code=200,
    operation_id="answerApproval",
    summary="Approve or deny it",
    tags=["agents"],
    request_max_body_size=MAX_BODY_BYTES,
)
async def answer_approval(
    approval_id: FromPath[str],
    data: JSONBody[ApprovalAnswer],
    desk: NamedDependency[Desk],
    key: NamedDependency[ApiKey],
) -> ApprovalDetail:
    """Answer in the name of your key. An approval is for the hash that it names, or for the arguments that it brings.

    Who asked may not answer (403). What is decided, too late, said before, or about other arguments answers 409.
    """
    if data.decision == "acknowledge":
        return await _acknowledged(desk, key, approval_id)
    if data.decision == "approve" and data.arguments_hash is None:
        raise BadInput(
            "an approval names the arguments that it is for",
            fix="send arguments_hash as you have read it",
            field="arguments_hash",
        )
    answered = await in_thread(
        desk.approvals.vote,
        approval_id,
        by=name_of(key),
        aliases=(key.key_id,),
        verdict=data.decision,
        channel="gateway",
        now=datetime.now(UTC),
        arguments_hash=data.arguments_hash,
        arguments=data.arguments,
        reason=data.reason,
    )
    return await _detail(desk, answered)


async def _acknowledged(desk: Desk, key: ApiKey, approval_id: str) -> ApprovalDetail:
    approval = await in_thread(desk.approvals.read, approval_id)
    await in_thread(
        desk.escalations.acknowledge, approval, by=name_of(key), aliases=(key.key_id,), now=datetime.now(UTC)
    )
    return await _detail(desk, approval)


async def _detail(desk: Desk, approval: "Approval") -> ApprovalDetail:
    request, decided = approval.request, tally(approval)
    escalation: Escalation = await in_thread(desk.escalations.read, request.approval_id)
    left_out = {"policy_version", "flow_run_id"}
    return ApprovalDetail(
        **request.model_dump(exclude=left_out),
        state=state_of(approval),
        votes=tuple(GivenVote(**vote.model_dump(exclude={"seal", "approval_id"})) for vote in approval.votes),
        decision=Outcome(**decided.model_dump()) if decided else None,
        acknowledged_by=escalation.acknowledged_by,
    )


handlers = [list_approvals, read_approval, answer_approval]
