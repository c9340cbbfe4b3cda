"""Tools for the review queue: an agent proposes a text, a person decides, and exactly what was approved is used."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from blocks.action import Touched
from blocks.errors import Unsupported
from blocks.progress import in_thread
from blocks.reviews import Proposal, Review, open_reviews
from tasks.agents.tool import Call, Place, Tool

STANDS_DAYS = 7
"""After so long a proposal that nobody has looked at counts as rejected."""

ReviewId = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$", description="As `propose_for_review` gave it")]


class Propose(BaseModel):
    """What is proposed."""

    model_config = ConfigDict(extra="forbid")

    kind: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,49}$", description="What it is: patch, email, runbook, …")]
    title: Annotated[str, Field(min_length=1, max_length=200, description="One line for the person who reads it")]
    content: Annotated[str, Field(min_length=1, max_length=200_000, description="The whole text")]
    previous: Annotated[
        str | None, Field(max_length=4096, description="File of the workspace that it would replace, to compare with")
    ] = None


class Outcome(BaseModel):
    """Which proposal is asked about."""

    model_config = ConfigDict(extra="forbid")

    review_id: ReviewId


class WriteApproved(BaseModel):
    """What is written where."""

    model_config = ConfigDict(extra="forbid")

    review_id: ReviewId
    path: Annotated[str, Field(min_length=1, max_length=4096, description="File of the workspace")]


async def propose(arguments: Propose, call: Call) -> dict[str, Any]:
    """Put a text into the queue; the same call puts it there once."""
    workspace, now = call.place.workspace, datetime.now(UTC)
    before = None
    if arguments.previous is not None:
        before = (await in_thread(workspace.read_bytes, arguments.previous)).decode("utf-8", "replace")
    proposal = Proposal.of(
        kind=arguments.kind,
        title=call.place.redactor.text(arguments.title),
        content=call.place.redactor.text(arguments.content),
        proposer=call.user,
        run_id=call.run_id,
        call_id=call.call_id,
        proposed_at=now,
        expires_at=now + timedelta(days=STANDS_DAYS),
        previous=None if before is None else call.place.redactor.text(before),
    )
    review = await in_thread(open_reviews().propose, proposal)
    return {"review_id": review.proposal.review_id, "state": review.state}


async def outcome(arguments: Outcome, call: Call) -> dict[str, Any]:
    """What became of a proposal. Raises `NotFound`."""
    review = await in_thread(open_reviews().read, arguments.review_id)
    reason = review.answer.reason if review.answer else ""
    return {"state": review.state, "by": _by(review), "reason": reason}


async def write_approved(arguments: WriteApproved, call: Call) -> dict[str, Any]:
    """Write exactly what was approved into a file; another call than the first that does it is refused.

    Raises:
        NotFound, Conflict, NotAllowed: it is not approved, or was used already.
        Unsupported: it is no text.
    """
    content = await in_thread(
        lambda: open_reviews().claim_for_execution(arguments.review_id, token=call.effect_id, now=datetime.now(UTC))
    )
    if not isinstance(content, str):
        raise Unsupported("what was approved is no text", fix="have a person use it")
    await in_thread(call.place.workspace.write, arguments.path, content.encode())
    return {"path": arguments.path, "characters": len(content)}


def _by(review: Review) -> str:
    return review.answer.by if review.answer else ""


def _writes(arguments: WriteApproved, place: Place) -> Touched:
    return Touched(writes=(place.workspace.touched(arguments.path),))


def _reads(arguments: Propose, place: Place) -> Touched:
    return Touched(reads=() if arguments.previous is None else (place.workspace.touched(arguments.previous),))


TOOLS: tuple[Tool[Any], ...] = (
    Tool(
        name="propose_for_review",
        description="Propose a text (a patch, an e-mail, a runbook) to a person, who approves, edits or rejects it. "
        "Use it for what must not go out unseen. Ask for the answer with review_outcome; you need not wait for it.",
        arguments=Propose,
        call=propose,
        risk="low",
        reversible=True,
        repeatable=True,
        touches=_reads,
    ),
    Tool(
        name="review_outcome",
        description="What a person has decided of a proposal: pending, approved, edited, rejected with the reason, "
        "or expired. After a rejection, propose a better one.",
        arguments=Outcome,
        call=outcome,
        risk="low",
        reversible=True,
        read_only=True,
        polls=True,
    ),
    Tool(
        name="write_approved",
        description="Write an approved proposal into a file of the workspace, exactly as the person approved or "
        "edited it. It can be used once.",
        arguments=WriteApproved,
        call=write_approved,
        risk="low",
        reversible=True,
        repeatable=True,
        touches=_writes,
    ),
)
