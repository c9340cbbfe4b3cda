"""What the votes on a request come to, and whether they are genuine."""

from typing import Any

from blocks.action import hash_of
from blocks.approvals.identity import person, same_person
from blocks.approvals.refusals import Forged
from blocks.approvals.request import Approval, ApprovalDecision, ApprovalRequest, Expiry, Vote
from blocks.approvals.seal import Seal
from blocks.errors import BadInput

TIME_IS_UP = "nobody approved it in time"


def tally(approval: Approval) -> ApprovalDecision | None:
    """The decision, or None while it is open. One denial denies; of each person the latest approval counts."""
    request = approval.request
    if denial := next((vote for vote in approval.votes if vote.verdict == "deny"), None):
        reason = denial.reason or "denied"
        return ApprovalDecision(
            approved=False, arguments=request.arguments, by=(denial.by,), reason=reason, at=denial.at
        )
    latest = {person(vote.by): vote for vote in approval.votes}
    for arguments_hash, arguments in approval.variants().items():
        agreed = [vote for vote in latest.values() if vote.arguments_hash == arguments_hash]
        if len(agreed) >= request.persons:
            return _approved(request, arguments, agreed)
    if approval.expiry:
        return ApprovalDecision(approved=False, arguments=request.arguments, reason=TIME_IS_UP, at=approval.expiry.at)
    return None


def _approved(request: ApprovalRequest, arguments: dict[str, Any], agreed: list[Vote]) -> ApprovalDecision:
    in_order = sorted(agreed, key=lambda vote: vote.at)
    return ApprovalDecision(
        approved=True,
        arguments=arguments,
        by=tuple(vote.by for vote in in_order),
        reason="; ".join(vote.reason for vote in in_order if vote.reason),
        edited=agreed[0].arguments_hash != request.arguments_hash,
        at=in_order[-1].at,
    )


def sealed_request(request: ApprovalRequest, seal: Seal) -> Approval:
    """A fresh record of a request."""
    return Approval(request=request, seal=seal.of("request", request.model_dump(mode="json")))


def sealed_vote(vote: Vote, request: ApprovalRequest, seal: Seal) -> Vote:
    """The vote with its seal: it holds for this request, these arguments and this time to answer only."""
    return vote.model_copy(update={"seal": seal.of("vote", *_facts(vote, request))})


def sealed_expiry(expiry: Expiry, request: ApprovalRequest, seal: Seal) -> Expiry:
    """The end of a request's time, with its seal."""
    return expiry.model_copy(update={"seal": seal.of("expiry", *_facts(expiry, request))})


def verify(approval_id: str, approval: Approval, seal: Seal) -> Approval:
    """The record, when all of it was written by us.

    Raises:
        Forged: request, vote or expiry were made or changed by somebody else, or belong to another request.
    """
    request, expiry = approval.request, approval.expiry
    if request.approval_id != approval_id or not seal.fits(approval.seal, "request", request.model_dump(mode="json")):
        raise _forged(approval_id, "the request")
    if not all(_genuine(vote, approval, seal) for vote in approval.votes):
        raise _forged(approval_id, "a vote")
    if expiry and not seal.fits(expiry.seal, "expiry", *_facts(expiry, request)):
        raise _forged(approval_id, "the end of its time")
    return approval


def _genuine(vote: Vote, approval: Approval, seal: Seal) -> bool:
    """Sealed by us, and such as we would count: who has only the store cannot move a vote to where it fits."""
    request = approval.request
    try:
        is_own = same_person(vote.by, request.askers)
    except BadInput:
        return False
    return (
        not is_own
        and vote.at < request.expires_at
        and vote.arguments_hash in approval.variants()
        and (vote.arguments is None or hash_of(request.tool, vote.arguments) == vote.arguments_hash)
        and seal.fits(vote.seal, "vote", *_facts(vote, request))
    )


def _facts(said: Vote | Expiry, request: ApprovalRequest) -> tuple[Any, ...]:
    """What a seal covers. Changed arguments are covered by their hash."""
    facts = said.model_dump(mode="json", exclude={"seal", "arguments"})
    return facts, request.approval_id, request.expires_at.isoformat()


def _forged(approval_id: str, what: str) -> Forged:
    return Forged(
        f"{what} of approval {approval_id} was not written by this service",
        fix="find out who can write to the store; let the run ask anew",
        approval_id=approval_id,
    )
