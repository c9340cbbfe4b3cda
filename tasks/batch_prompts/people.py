"""Rows that no prompt got answered, put before people; what they approve goes into the output as theirs."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from blocks.errors import C500Error, NotFound
from blocks.reviews import Proposal, Review, Reviews
from tasks.batch_prompts.chunk import Chunk, column_lines
from tasks.batch_prompts.coverage import Coverage
from tasks.batch_prompts.ledger import Failed, Ledger, Spent, Status
from tasks.batch_prompts.plan import Plan

KIND = "batch-row"
PROPOSER = "batch-prompts"
STANDS_DAYS = 30
ANSWERS = "answers"


def put_before_people(plan: Plan, ledger: Ledger, reviews: Reviews) -> int:
    """Ask people about each row that failed and that they were not asked about; returns how many. Blocks."""
    asked = 0
    for failed in ledger.failed():
        if failed.review is None:
            review = reviews.propose(_proposal(plan, ledger, failed))
            ledger.mark(failed.item, review=review.proposal.review_id)
            asked += 1
    return asked


def take_from_people(plan: Plan, ledger: Ledger, reviews: Reviews) -> int:
    """Take over what people answered since; returns how many rows are answered by it. Blocks.

    What they gave is held against the plan as a model's answer is; where it does not fit, the row stays failed with
    that reason, and they are asked again. What they rejected is not asked again, and what they left until its time was
    over only by `ask_again`.
    """
    taken = 0
    for failed in ledger.failed():
        if failed.review is None:
            continue
        try:
            review = reviews.read(failed.review)
        except NotFound:
            ledger.mark(failed.item, review=None)
            continue
        if review.state in ("approved", "edited"):
            taken += _take(plan, ledger, reviews, failed, review)
        elif review.answer is not None and review.answer.by == PROPOSER:  # `ask_again` was killed before it said so
            ledger.mark(failed.item, review=None, status="partial")
        elif review.answer is not None:
            status: Status = "rejected" if review.state == "rejected" else "review"
            reason = f"{review.state}: {review.answer.reason}"
            ledger.mark(failed.item, review=failed.review, status=status, reason=reason)
    return taken


def ask_again(ledger: Ledger, reviews: Reviews | None) -> int:
    """Have rows that failed asked again; what people were asked about them is withdrawn. Returns how many. Blocks.

    What they have approved meanwhile is left for `take_from_people`.
    """
    asked = 0
    for failed in ledger.failed():
        if reviews is not None and failed.review is not None and not _withdrawn(reviews, failed.review):
            continue
        ledger.mark(failed.item, review=None, status="partial")
        asked += 1
    return asked


def _take(plan: Plan, ledger: Ledger, reviews: Reviews, failed: Failed, review: Review) -> bool:
    item, review_id = failed.item, review.proposal.review_id
    content = reviews.claim_for_execution(review_id, token=f"{plan.plan_id}/{item.key}", now=datetime.now(UTC))
    rows = cast(dict[str, Any], content).get(ANSWERS) if isinstance(content, dict) else None
    chunk = Chunk(group=item.group, items=(item,), wanted={item.number: ledger.wanted(item)})
    given = [{**row, plan.file.row_column: item.number} for row in _dicts(rows)]
    covered = Coverage(plan).check(chunk, given)
    if not chunk.less({number: tuple(units) for number, units in covered.found.items()}).items:
        ledger.save([item], covered.found, Spent(cost_usd=0.0), origin="person")
        return True
    # With the id of the review: the next one is of another reason, and so another.
    reason = f"what was approved in review {review_id} does not answer it: {'; '.join(covered.problems[:3])}"
    ledger.mark(item, review=None, reason=reason)
    return False


def _dicts(rows: Any) -> list[dict[str, Any]]:
    listed: list[Any] = rows if isinstance(rows, list) else []
    return [row for row in listed if isinstance(row, dict)]


def _proposal(plan: Plan, ledger: Ledger, failed: Failed) -> Proposal:
    item, now = failed.item, datetime.now(UTC)
    lacking = [
        {**dict(zip(plan.per_row.names, unit, strict=True)), **dict.fromkeys(plan.file.columns)}
        for unit in ledger.wanted(item)
    ]
    content = {
        "row": item.row,
        "why": failed.reason,
        "columns": column_lines(plan.file.columns),
        ANSWERS: lacking,
    }
    return Proposal.of(
        kind=KIND,
        title=f"{plan.file.name}: row {item.number} of {item.group}",
        content=content,
        proposer=PROPOSER,
        run_id=plan.plan_id,
        # Of each time that it failed another one: what was asked before may be answered already.
        call_id=f"{item.key}/{failed.attempts}/{failed.reason}",
        proposed_at=now,
        expires_at=now + timedelta(days=STANDS_DAYS),
    )


def _withdrawn(reviews: Reviews, review_id: str) -> bool:
    """Withdraw what people were asked; False where they have approved it."""
    with suppress(C500Error):  # somebody has answered it, or it is gone
        reviews.reject(review_id, by=PROPOSER, reason="the row is asked again", now=datetime.now(UTC))
    try:
        return reviews.read(review_id).state not in ("approved", "edited")
    except NotFound:
        return True
