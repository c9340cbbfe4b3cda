"""Whether an answer counts: who gives it, when, by which channel, and about which arguments."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from blocks.action import RISKS, Risk, canonical
from blocks.approvals.identity import person, same_person
from blocks.approvals.refusals import ApprovalClosed, OtherArguments, OwnRequest, Unauthenticated, VotedAlready
from blocks.approvals.request import REASON_CHARS, Approval, ApprovalRequest, Channel, Vote, checked_hash
from blocks.approvals.tally import tally
from blocks.errors import BadInput

REDACTED = "[REDACTED:"
"""How a place begins where a secret was taken out."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What somebody answers; see `Approvals.vote`."""

    by: str
    verdict: Literal["approve", "deny"]
    channel: Channel
    arguments_hash: str | None = None
    arguments: dict[str, Any] | None = None
    reason: str = ""
    aliases: Sequence[str] = ()


def vote_of(answer: Answer, approval: Approval, now: datetime, form_up_to: Risk) -> Vote:
    """The vote, still without its seal.

    Raises:
        ApprovalClosed, OwnRequest, Unauthenticated, VotedAlready, OtherArguments, BadInput: it does not count.
    """
    if len(answer.reason) > REASON_CHARS:
        raise BadInput("the reason is too long", fix=f"use at most {REASON_CHARS} characters", field="reason")
    _check_open(approval, now)
    _check_person(answer, approval.request, form_up_to)
    meant = _meant(answer, approval)
    _check_new(answer, meant, approval)
    return Vote(
        approval_id=approval.request.approval_id,
        by=answer.by,
        verdict=answer.verdict,
        arguments_hash=meant,
        arguments=None if meant in approval.variants() else answer.arguments,
        reason=answer.reason,
        at=now,
        channel=answer.channel,
    )


def _check_open(approval: Approval, now: datetime) -> None:
    request = approval.request
    if tally(approval) is not None:
        raise ApprovalClosed(f"approval {request.approval_id} is decided", fix="see `c500 approve list --all`")
    if now >= request.expires_at:
        raise ApprovalClosed(
            f"the time to answer {request.approval_id} was over at {request.expires_at:%Y-%m-%d %H:%M:%S %Z}",
            fix="it counts as denied; let the run ask anew",
        )


def _check_person(answer: Answer, request: ApprovalRequest, form_up_to: Risk) -> None:
    if any(same_person(name, request.askers) for name in (answer.by, *answer.aliases)):
        raise OwnRequest(f"{request.requester} asked for this and may not answer it", fix="have somebody else answer")
    if answer.channel == "prefect" and RISKS.index(request.risk) > RISKS.index(form_up_to):
        raise Unauthenticated(
            f"a form does not say for certain who answers, and the risk is {request.risk}",
            fix=f"use `c500 approve yes|no {request.approval_id}` or the gateway",
        )


def _meant(answer: Answer, approval: Approval) -> str:
    """The hash of the arguments that the answer is about."""
    request, variants = approval.request, approval.variants()
    seen = answer.arguments_hash
    if seen is not None and seen not in variants:
        raise OtherArguments(
            f"approval {request.approval_id} is about other arguments than those that were answered",
            fix="look at it again, and answer what it asks now",
        )
    if answer.verdict == "deny":
        return seen or request.arguments_hash
    if answer.arguments is not None and not _same(answer.arguments, request.arguments):
        return _changed(answer.arguments, request)
    if seen is None and answer.arguments is None and len(variants) > 1:
        raise OtherArguments(
            f"there are {len(variants)} versions of the arguments of {request.approval_id}",
            fix=f"say which by its hash: {', '.join(one[:12] for one in variants)}",
            hashes=list(variants),
        )
    return (seen if answer.arguments is None else None) or request.arguments_hash


def _same(arguments: dict[str, Any], others: dict[str, Any]) -> bool:
    """Whether arguments are the same as JSON has them: to Python, 1, 1.0 and true are equal."""
    checked_hash("", arguments)
    return canonical(arguments) == canonical(others)


def _changed(arguments: dict[str, Any], request: ApprovalRequest) -> str:
    changed = checked_hash(request.tool, arguments)
    if REDACTED in canonical(arguments):
        raise BadInput(
            "the changed arguments hold a place where a secret was taken out",
            fix="give what belongs there, or leave the arguments as they are",
            field="arguments",
        )
    return changed


def _check_new(answer: Answer, meant: str, approval: Approval) -> None:
    own = [vote for vote in approval.votes if person(vote.by) == person(answer.by)]
    if own and (own[-1].verdict, own[-1].arguments_hash) == (answer.verdict, meant):
        raise VotedAlready(
            f"{answer.by} has said that already; {approval.request.persons} different persons must approve",
            fix="have somebody else answer",
        )
