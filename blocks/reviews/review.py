"""An artifact that waits for a person, and what became of it."""

from datetime import datetime
from typing import Any, Literal, Self

from pydantic import AwareDatetime, Field, model_validator

from blocks.action import canonical, hash_of
from blocks.approvals.identity import person
from blocks.approvals.records import ID
from blocks.approvals.refusals import Forged
from blocks.approvals.seal import Seal
from blocks.errors import BadInput, TooLarge
from blocks.model import Frozen

State = Literal["pending", "approved", "rejected", "edited", "expired"]
STATES: tuple[State, ...] = ("pending", "approved", "rejected", "edited", "expired")

MAX_BYTES = 1_000_000
"""Of a content, as JSON."""
REASON_CHARS = 10_000


class Proposal(Frozen):
    """What an agent proposes; made by `Proposal.of`.

    Attributes:
        review_id: Names it; the same for the same call in every attempt of a run.
        kind: What it is: `patch`, `email`, `runbook`, …
        title: For people.
        content: A text, or any JSON.
        content_hash: Of kind and content.
        proposer: Who proposes; may not approve.
        begun_by: Who began the run that proposes, where that is known; may not approve either.
        run_id: Of the agent's run.
        previous: What it would replace, to compare it with; None for nothing.
        proposed_at: When.
        expires_at: When it counts as rejected.
    """

    review_id: str = Field(pattern=f"^{ID.pattern}$")
    kind: str = Field(min_length=1, max_length=100)
    title: str = Field(max_length=500)
    content: Any
    content_hash: str
    proposer: str
    begun_by: str | None = None
    run_id: str = Field(pattern=f"^{ID.pattern}$")
    previous: Any = None
    proposed_at: AwareDatetime
    expires_at: AwareDatetime

    @model_validator(mode="after")
    def _hash_is_of_the_content(self) -> Self:
        if content_hash(self.kind, self.content) != self.content_hash:
            raise ValueError("content_hash is not the hash of kind and content")
        return self

    @classmethod
    def of(
        cls,
        *,
        kind: str,
        title: str,
        content: Any,
        proposer: str,
        run_id: str,
        call_id: str,
        proposed_at: datetime,
        expires_at: datetime,
        previous: Any = None,
        begun_by: str | None = None,
    ) -> "Proposal":
        """A proposal with its hash, and an id that follows from the call: a run that starts again proposes the same.

        Raises:
            BadInput, TooLarge: the content is no JSON, or too long, or nobody is named as the proposer.
        """
        person(proposer)
        content_hash(kind, previous)
        return cls(
            review_id=hash_of("review", [run_id, call_id])[:16],
            kind=kind,
            title=title[:500],
            content=content,
            content_hash=content_hash(kind, content),
            proposer=proposer,
            begun_by=begun_by,
            run_id=run_id,
            previous=previous,
            proposed_at=proposed_at,
            expires_at=expires_at,
        )


class Answer(Frozen):
    """What became of a proposal.

    Attributes:
        state: `approved` as it is, `edited` and approved so, `rejected`, or `expired`.
        by: Who answered; empty when time ran out.
        at: When.
        reason: In their words.
        content_hash: Of the content that is approved, or of what was looked at.
        content: As it was changed, for `edited`.
        seal: Made by who took it.
    """

    state: Literal["approved", "rejected", "edited", "expired"]
    by: str
    at: AwareDatetime
    reason: str = Field(default="", max_length=REASON_CHARS)
    content_hash: str
    content: Any = None
    seal: str = ""


class Claim(Frozen):
    """That somebody carries out what was approved.

    Attributes:
        token: Names the execution; who comes with it again gets the content again.
        at: When it was claimed.
    """

    token: str
    at: AwareDatetime


class Review(Frozen):
    """A proposal with its answer, as it lies in the store.

    Attributes:
        proposal: What is proposed.
        seal: Of the proposal.
        answer: None while it is pending.
        claim: Set when it is carried out.
    """

    proposal: Proposal
    seal: str
    answer: Answer | None = None
    claim: Claim | None = None

    @property
    def state(self) -> State:
        """Where it is."""
        return self.answer.state if self.answer else "pending"

    @property
    def content(self) -> Any:
        """What is approved, else what is proposed."""
        return self.answer.content if self.answer and self.answer.state == "edited" else self.proposal.content


def content_hash(kind: str, content: Any) -> str:
    """SHA-256 of kind and content, hexadecimal.

    Raises:
        BadInput: the content is no JSON.
        TooLarge: it is longer than `MAX_BYTES`.
    """
    try:
        size_bytes = len(canonical(content).encode())
    except (TypeError, ValueError, RecursionError) as error:
        raise BadInput("the content is no JSON", fix="give a text, or JSON", field="content") from error
    if size_bytes > MAX_BYTES:
        raise TooLarge(f"the content has {size_bytes} bytes", fix=f"propose at most {MAX_BYTES}", field="content")
    return hash_of(kind, content)


def sealed_proposal(proposal: Proposal, seal: Seal) -> Review:
    """A fresh record of a proposal."""
    return Review(proposal=proposal, seal=seal.of("proposal", _sealed(proposal)))


def sealed_answer(answer: Answer, proposal: Proposal, seal: Seal) -> Answer:
    """The answer with its seal: it holds for this proposal and this content only."""
    return answer.model_copy(update={"seal": seal.of("answer", *_facts(answer, proposal))})


def verify(review_id: str, review: Review, seal: Seal) -> Review:
    """The record, when all of it was written by us. Raises `Forged`."""
    proposal, answer = review.proposal, review.answer
    genuine = proposal.review_id == review_id and seal.fits(review.seal, "proposal", _sealed(proposal))
    if genuine and answer:
        expected = content_hash(proposal.kind, review.content)
        genuine = seal.fits(answer.seal, "answer", *_facts(answer, proposal)) and answer.content_hash == expected
    if not genuine:
        raise Forged(
            f"review {review_id} was changed by somebody else than this service",
            fix="find out who can write to the store; have it proposed anew",
            review_id=review_id,
        )
    return review


def _sealed(proposal: Proposal) -> dict[str, Any]:
    """What the seal of a proposal covers; one that names nobody as `begun_by` is sealed as before there was that."""
    left_out = {"begun_by"} if proposal.begun_by is None else None
    return proposal.model_dump(mode="json", exclude=left_out)


def _facts(answer: Answer, proposal: Proposal) -> tuple[Any, ...]:
    """What a seal covers. A changed content is covered by its hash."""
    facts = answer.model_dump(mode="json", exclude={"seal", "content"})
    return facts, proposal.review_id, proposal.content_hash
