"""The review queue of this machine's settings: sealed as approvals are, every answer in the audit log."""

from typing import TYPE_CHECKING
from uuid import uuid4

from blocks.approvals.open import audit_of_answers, seal_key
from blocks.reviews.queue import Attempt, Reviews
from blocks.reviews.review import Review
from blocks.store import open_store

if TYPE_CHECKING:
    from blocks.store.files import Files


def open_reviews(files: "Files | None" = None) -> Reviews:
    """The queue in a store; by default that of the settings.

    Args:
        files: The store.

    Raises:
        StoreFailed, NotAllowed: the key of the seals cannot be used.
    """
    return Reviews(files or open_store(), seal_key(), attempted=_write_down)


def _write_down(review: Review, attempt: Attempt, outcome: str) -> None:
    """Write an answer into the audit log, whether it counts or not."""
    from blocks.audit import Entry

    proposal = review.proposal
    counted = review.answer if outcome == "counted" else None
    agreed = counted is not None and attempt.state != "rejected"
    audit_of_answers().append(
        Entry(
            entry_id=f"{proposal.run_id}/{proposal.review_id}/answer/{uuid4().hex}",
            run_id=proposal.run_id,
            agent="",
            user=proposal.proposer,
            phase="answered",
            tool=f"review {proposal.review_id}",
            reasoning=attempt.reason or None,
            approvers=(attempt.by,) if agreed else (),
            outcome=attempt.state if counted else outcome,
            details={
                "review_id": proposal.review_id,
                "by": attempt.by,
                "answer": attempt.state,
                "kind": proposal.kind,
                "title": proposal.title,
                "proposed_hash": proposal.content_hash,
                **({"approved_hash": counted.content_hash} if counted and agreed else {}),
            },
        )
    )
