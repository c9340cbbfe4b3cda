"""Tools for the review queue: an agent proposes a text, a person decides, and exactly what was approved is used."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from blocks.action import Touched
from blocks.errors import NotAllowed, NotFound, Unsupported
from blocks.progress import in_thread
from blocks.reviews import Proposal, Review, open_reviews
from tasks.agents.opened import work_of
from tasks.agents.tool import Call, Place, Tool
from tasks.agents.tools.files.writing import versions_of

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
        str | None,
        Field(max_length=4096, description="Path of the file of the workspace that it would replace, to compare with"),
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
    now = datetime.now(UTC)
    before = None
    if arguments.previous is not None:
        before = await in_thread(_before, arguments.previous, call)
    proposal = Proposal.of(
        kind=arguments.kind,
        title=call.place.redactor.text(arguments.title),
        content=call.place.redactor.text(arguments.content),
        proposer=call.user,
        begun_by=_begun_by(call),
        run_id=call.run_id,
        call_id=call.call_id,
        proposed_at=now,
        expires_at=now + timedelta(days=STANDS_DAYS),
        previous=before,
    )
    review = await in_thread(open_reviews().propose, proposal)
    return {"review_id": review.proposal.review_id, "state": review.state}


async def outcome(arguments: Outcome, call: Call) -> dict[str, Any]:
    """What became of a proposal. Raises `NotFound`."""
    review = await in_thread(_own, arguments.review_id, call)
    reason = review.answer.reason if review.answer else ""
    return {"state": review.state, "by": _by(review), "reason": reason}


async def write_approved(arguments: WriteApproved, call: Call) -> dict[str, Any]:
    """Write exactly what was approved into a file; another call than the first that does it is refused.

    Raises:
        NotFound, Conflict, NotAllowed: it is not approved, was proposed for another user, or was used already.
        NotAllowed: the file is not what the person has compared it with; the proposal is not used up.
        NotAllowed, TooLarge: the file cannot be written, or not be kept for undoing; the proposal is not used up.
        Unsupported: it is no text.
    """
    workspace, path = call.place.workspace, arguments.path
    review = await in_thread(_own, arguments.review_id, call)
    await in_thread(_check_place, review, arguments, call)
    content = await in_thread(
        lambda: open_reviews().claim_for_execution(arguments.review_id, token=call.effect_id, now=datetime.now(UTC))
    )
    if not isinstance(content, str):
        raise Unsupported("what was approved is no text", fix="have a person use it")

    def write() -> dict[str, Any]:
        versions = versions_of(call.place)
        before = versions.before(workspace, path)
        version = versions.write(workspace, path, before, content.encode(), call.effect_id)
        return {"path": version.name, "characters": len(content), "restore_id": version.version_id}

    return await in_thread(write)


def _check_place(review: Review, arguments: WriteApproved, call: Call) -> None:
    """Refuse another file than the one that the person has seen it would replace; none seen, it must be a new one."""
    workspace, path = call.place.workspace, arguments.path
    workspace.resolve(path, writing=True)
    versions_of(call.place).before(workspace, path)
    if review.claim is not None and review.claim.token == call.effect_id:  # it was written before we died
        return
    try:
        there = _shown(path, call)
    except NotFound:
        there = None
    if there != review.proposal.previous:
        raise NotAllowed(
            f"{path} is not what the person has compared this proposal with",
            fix="propose it anew, with this file as previous where there is one",
        )


def _own(review_id: str, call: Call) -> Review:
    """A proposal that was made for the user of the call. Raises `NotFound`."""
    review = open_reviews().read(review_id)
    if review.proposal.proposer != call.user:
        raise NotFound(f"there is no review {review_id} for this user", fix="propose it for this user")
    return review


def _begun_by(call: Call) -> str | None:
    """Who began the run; None where it is not at work in this process."""
    try:
        return work_of(call.run_id).begun_by
    except KeyError:
        return None


def _before(previous: str, call: Call) -> str:
    """The file that would be replaced. Raises `NotFound`: there is none."""
    try:
        return _shown(previous, call)
    except NotFound as error:
        fix = "give the path of a file of the workspace, not its content; leave previous out for a new file"
        raise NotFound(f"previous: {error.message}", fix=fix, field="previous") from error


def _shown(path: str, call: Call) -> str:
    """A file as a person is shown it. Raises `NotFound`."""
    return call.place.redactor.text(call.place.workspace.read_bytes(path).decode("utf-8", "replace"))


def _by(review: Review) -> str:
    return review.answer.by if review.answer else ""


def _writes(arguments: WriteApproved, place: Place) -> Touched:
    return Touched(writes=(str(place.workspace.resolve(arguments.path, writing=True)),))


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
        "edited it. It can be used once; restore_file brings back what was there before.",
        arguments=WriteApproved,
        call=write_approved,
        risk="low",
        reversible=True,
        repeatable=True,
        touches=_writes,
    ),
)
