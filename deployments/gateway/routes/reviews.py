"""What agents propose: listed, looked at, approved, changed or rejected. Who answers is the key's owner."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from pydantic import AwareDatetime, Field

from blocks.errors import BadInput
from blocks.keys import ApiKey
from blocks.model import Frozen
from blocks.progress import in_thread
from blocks.reviews.review import MAX_BYTES, REASON_CHARS, State
from deployments.gateway.desk import Desk, name_of
from deployments.gateway.web.auth import needs

if TYPE_CHECKING:
    from blocks.reviews import Review

MAX_BODY_BYTES = 2 * MAX_BYTES


class GivenAnswer(Frozen):
    """What became of a proposal."""

    by: str
    at: AwareDatetime
    reason: str
    content_hash: str = Field(description="Of what is approved, or of what was looked at.")


class ReviewSummary(Frozen):
    """A proposal in a list."""

    review_id: str
    state: State
    kind: str
    title: str
    proposer: str = Field(description="May not approve it.")
    begun_by: str | None = Field(description="Who began the run; may not approve it either.")
    run_id: str
    content_hash: str = Field(description="Of the content as it was proposed.")
    proposed_at: AwareDatetime
    expires_at: AwareDatetime = Field(description="When it counts as rejected.")


class ReviewDetail(ReviewSummary):
    """A proposal with its content."""

    content: Any = Field(description="As it is approved, else as it is proposed.")
    previous: Any = Field(description="What it would replace.")
    answer: GivenAnswer | None
    claimed: bool = Field(description="Whether somebody carries it out.")


class ReviewList(Frozen):
    """Proposals, oldest first."""

    reviews: tuple[ReviewSummary, ...]


class ReviewAnswer(Frozen):
    """What you say to a proposal."""

    decision: Literal["approve", "edit", "reject"]
    content_hash: str | None = Field(
        default=None, max_length=64, description="Of the content that you have seen; needed to approve and to edit."
    )
    content: Any = Field(default=None, description="With `edit`: what is approved instead.")
    reason: str = Field(default="", max_length=REASON_CHARS, description="The agent is told it; needed to reject.")


@get(
    "/v1/reviews",
    opt=needs("approve"),
    operation_id="listReviews",
    summary="What agents propose",
    tags=["agents"],
)
async def list_reviews(
    desk: NamedDependency[Desk],
    which: Annotated[
        Literal["pending", "all"], QueryParameter(description="`pending` waits; `all` is also what is answered.")
    ] = "pending",
) -> ReviewList:
    """List what waits for somebody to look at it."""
    found = await in_thread(desk.reviews.pending if which == "pending" else desk.reviews.every)
    return ReviewList(reviews=tuple(ReviewSummary(**_summary(one)) for one in found))


@get(
    "/v1/reviews/{review_id:str}",
    opt=needs("approve"),
    operation_id="readReview",
    summary="One proposal with its content",
    tags=["agents"],
)
async def read_review(review_id: FromPath[str], desk: NamedDependency[Desk]) -> ReviewDetail:
    """Read what exactly is proposed, and what it would replace."""
    return _detail(await in_thread(desk.reviews.read, review_id))


@post(
    "/v1/reviews/{review_id:str}",
    opt=needs("approve"),
    status_code=200,
    operation_id="answerReview",
    summary="Approve, change or reject it",
    tags=["agents"],
    request_max_body_size=MAX_BODY_BYTES,
)
async def answer_review(
    review_id: FromPath[str],
    data: JSONBody[ReviewAnswer],
    desk: NamedDependency[Desk],
    key: NamedDependency[ApiKey],
) -> ReviewDetail:
    """Answer in the name of your key. What is approved is carried out exactly as it is, once.

    Who proposed it may not approve it (403). What is answered, too late, or about another content answers 409.
    """
    who: dict[str, Any] = {"by": name_of(key), "now": datetime.now(UTC), "reason": data.reason}
    if data.decision == "reject":
        return _detail(await in_thread(desk.reviews.reject, review_id, **who))
    if data.content_hash is None:
        raise BadInput(
            "an approval names the content that it is for",
            fix="send content_hash as you have read it",
            field="content_hash",
        )
    who |= {"seen": data.content_hash, "aliases": (key.key_id,)}
    if data.decision == "edit":
        return _detail(await in_thread(desk.reviews.edit, review_id, content=data.content, **who))
    return _detail(await in_thread(desk.reviews.approve, review_id, **who))


def _summary(review: "Review") -> dict[str, Any]:
    left_out = {"content", "previous"}
    return review.proposal.model_dump(exclude=left_out) | {"state": review.state}


def _detail(review: "Review") -> ReviewDetail:
    given = {"by", "at", "reason", "content_hash"}
    return ReviewDetail(
        **_summary(review),
        content=review.content,
        previous=review.proposal.previous,
        answer=GivenAnswer(**review.answer.model_dump(include=given)) if review.answer else None,
        claimed=review.claim is not None,
    )


handlers = [list_reviews, read_review, answer_review]
