"""The queue itself: proposals in the store, each answered once and carried out once."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

import structlog

from blocks.approvals.identity import person, same_person
from blocks.approvals.records import Damaged, Purged, Records
from blocks.approvals.refusals import ApprovalClosed, Forged, OtherArguments, OwnRequest
from blocks.approvals.seal import Seal
from blocks.errors import BadInput, C500Error, Conflict, NotAllowed, NotFound
from blocks.model import Frozen
from blocks.reviews.review import (
    REASON_CHARS,
    Answer,
    Claim,
    Proposal,
    Review,
    State,
    content_hash,
    sealed_answer,
    sealed_proposal,
    verify,
)
from blocks.store.files import Files

log = structlog.stdlib.get_logger("c500")


class Attempt(Frozen):
    """What somebody answers, whether it counts or not.

    Attributes:
        by: Who.
        state: What the proposal would become.
        reason: In their words.
    """

    by: str
    state: Literal["approved", "edited", "rejected"]
    reason: str


Attempted = Callable[[Review, Attempt, str], None]
"""Is told of each answer: review, answer, and `counted` or the code of the error that refused it."""


class Feedback(Frozen):
    """What a run's agent is told of a proposal of its own.

    Attributes:
        review_id: Which.
        kind: What it was.
        title: What it was called.
        state: What became of it.
        reason: Why, in the words of who answered.
    """

    review_id: str
    kind: str
    title: str
    state: State
    reason: str


class Reviews:
    """The proposals in a store. Every change is a compare-and-swap; several processes may use one store.

    Args:
        files: The store.
        key: Of the seals, as that of `Approvals`.
        attempted: Is told of each answer.
    """

    def __init__(self, files: Files, key: bytes, *, attempted: Attempted | None = None) -> None:
        self._records = Records(files, "reviews", Review, kind="review", listing="c500 review list")
        self._seal = Seal(key)
        self._attempted = attempted

    def propose(self, proposal: Proposal) -> Review:
        """Put a proposal into the queue; the same again changes nothing.

        Raises:
            Conflict: the same call has proposed something else.
            Forged: what lies in the store was not written by us.
        """
        review_id = proposal.review_id
        self._records.mark(review_id)
        self._records.mark(review_id, f"runs/{proposal.run_id}")
        self._records.create(review_id, sealed_proposal(proposal, self._seal))
        found = self.read(review_id)
        if found.proposal.content_hash != proposal.content_hash:
            raise Conflict(
                f"the call has proposed something else as {review_id}", fix="propose it in a call of its own"
            )
        return found

    def read(self, review_id: str) -> Review:
        """One of them. Raises `NotFound`, `Forged`, `Damaged`, `StoreFailed`."""
        return verify(review_id, self._records.read(review_id), self._seal)

    def pending(self) -> tuple[Review, ...]:
        """All that wait, oldest first; forged and damaged ones are left out, see `sweep`."""
        return tuple(one for one in self._genuine(self._records.marked()) if one.state == "pending")

    def every(self) -> tuple[Review, ...]:
        """All of the store, oldest first; forged and damaged ones are left out."""
        return self._genuine(self._records.ids())

    def approve(
        self, review_id: str, *, by: str, seen: str, now: datetime, reason: str = "", aliases: Sequence[str] = ()
    ) -> Review:
        """Approve what was proposed.

        Args:
            review_id: Which.
            by: Who approves.
            seen: Hash of the content that the person has looked at.
            now: The time.
            reason: In their words.
            aliases: Other names of the same person.

        Raises:
            NotFound: there is none.
            ApprovalClosed: it is answered, or its time is up.
            OwnRequest: who proposes, or has begun the run that does, may not approve.
            OtherArguments: the person has looked at something else.
            BadInput: `by` is no name, or the reason is too long.
            Forged: the record was not written by us.
        """

        def answer(proposal: Proposal) -> Answer:
            _check_not_own((by, *aliases), proposal)
            return Answer(state="approved", by=by, at=now, reason=reason, content_hash=proposal.content_hash)

        return self._answer(review_id, Attempt(by=by, state="approved", reason=reason), seen, now, answer)

    def edit(
        self,
        review_id: str,
        *,
        by: str,
        seen: str,
        content: Any,
        now: datetime,
        reason: str = "",
        aliases: Sequence[str] = (),
    ) -> Review:
        """Approve it as somebody changed it; the changed content has a hash of its own. See `approve`.

        Raises:
            BadInput, TooLarge: the content is no JSON, or too long.
        """

        def answer(proposal: Proposal) -> Answer:
            _check_not_own((by, *aliases), proposal)
            changed = content_hash(proposal.kind, content)
            return Answer(state="edited", by=by, at=now, reason=reason, content_hash=changed, content=content)

        return self._answer(review_id, Attempt(by=by, state="edited", reason=reason), seen, now, answer)

    def reject(self, review_id: str, *, by: str, reason: str, now: datetime) -> Review:
        """Reject it; its agent is told the reason. See `approve`; who proposed may withdraw it so.

        Raises:
            BadInput: there is no reason.
        """
        if not reason.strip():
            raise BadInput("a rejection needs a reason: the agent is told it", fix="say why", field="reason")

        def answer(proposal: Proposal) -> Answer:
            return Answer(state="rejected", by=by, at=now, reason=reason, content_hash=proposal.content_hash)

        return self._answer(review_id, Attempt(by=by, state="rejected", reason=reason), None, now, answer)

    def claim_for_execution(self, review_id: str, *, token: str, now: datetime) -> Any:
        """The approved content, exactly, for the one who carries it out.

        Args:
            review_id: Which.
            token: Names the execution, as `run_id/call_id`; with the same token it is given again, as after a crash.
            now: The time.

        Raises:
            NotAllowed: it is not approved.
            Conflict: another execution has claimed it.
            NotFound, Forged: see `approve`.
        """

        def claimed(review: Review) -> Review:
            if verify(review_id, review, self._seal).state not in ("approved", "edited"):
                raise NotAllowed(f"review {review_id} is {review.state}", fix="have it approved first")
            if review.claim is None:
                return review.model_copy(update={"claim": Claim(token=token, at=now)})
            if review.claim.token != token:
                raise Conflict(
                    f"review {review_id} was claimed by another execution at {review.claim.at:%Y-%m-%d %H:%M:%S}",
                    fix="what is approved once is carried out once; propose it anew",
                )
            return review

        if not token:
            raise BadInput("an execution needs a name", fix="give the id of the call that carries it out")
        return self._records.change(review_id, claimed).content

    def feedback(self, run_id: str) -> tuple[Feedback, ...]:
        """What became of a run's proposals, as far as they are answered; oldest first."""
        answered = [one for one in self._genuine(self._records.marked(f"runs/{run_id}")) if one.answer]
        return tuple(
            Feedback(
                review_id=one.proposal.review_id,
                kind=one.proposal.kind,
                title=one.proposal.title,
                state=one.state,
                reason=one.answer.reason if one.answer else "",
            )
            for one in answered
        )

    def sweep(self, now: datetime) -> tuple[str, ...]:
        """End what is past its time, and forget what is settled; returns what ended."""
        ended: list[str] = []
        marked = self._records.marked()
        found = self._genuine(marked)
        for review in found:
            review_id = review.proposal.review_id
            if review.state == "pending" and now >= review.proposal.expires_at:
                review = self._records.change(review_id, lambda one: self._expired(one, now))
                ended += [review_id] if review.state == "expired" else []
            if review.state != "pending":
                self._records.unmark(review_id)
        for review_id in {*marked} - {one.proposal.review_id for one in found}:
            self._records.unmark_half_made(review_id)
        return tuple(ended)

    def purge(
        self, older_than_s: float, now: datetime, *, keep: Callable[[Proposal], bool] = lambda _: False
    ) -> Purged:
        """Delete proposals that were answered longer ago, also those that nobody has carried out.

        Pending ones stay, and so do forged and damaged ones: they are evidence.

        Args:
            older_than_s: Seconds.
            now: The time.
            keep: Says which stay all the same.
        """
        before = now - timedelta(seconds=older_than_s)
        gone: list[str] = []
        size_bytes = 0
        for review_id in tuple(self._records.ids()):
            review = next(iter(self._genuine([review_id])), None)
            if review is None or review.answer is None or review.answer.at >= before or keep(review.proposal):
                continue
            # The record goes last: who is killed in between finds it again.
            self._records.unmark(review_id)
            self._records.unmark(review_id, f"runs/{review.proposal.run_id}")
            size_bytes += self._records.remove(review_id)
            gone.append(review_id)
        return Purged(ids=tuple(gone), size_bytes=size_bytes)

    def _answer(
        self,
        review_id: str,
        attempt: Attempt,
        seen: str | None,
        now: datetime,
        answer: Callable[[Proposal], Answer],
    ) -> Review:
        def answered(review: Review) -> Review:
            proposal = verify(review_id, review, self._seal).proposal
            _check_open(review, now)
            if seen is not None and seen != proposal.content_hash:
                raise OtherArguments(
                    f"review {review_id} has another content than the one that was looked at", fix="look at it again"
                )
            made = sealed_answer(answer(proposal), proposal, self._seal)
            return review.model_copy(update={"answer": made})

        person(attempt.by)
        if len(attempt.reason) > REASON_CHARS:
            raise BadInput("the reason is too long", fix=f"use at most {REASON_CHARS} characters", field="reason")
        try:
            found = self._records.change(review_id, answered)
        except C500Error as error:
            self._tell(review_id, attempt, error.code)
            raise
        self._records.unmark(review_id)
        self._tell(review_id, attempt, "counted")
        return found

    def _tell(self, review_id: str, attempt: Attempt, outcome: str) -> None:
        log.info("review_answered", review_id=review_id, by=attempt.by, state=attempt.state, outcome=outcome)
        if self._attempted is not None and (found := self._records.find(review_id)) is not None:
            self._attempted(found, attempt, outcome)

    def _expired(self, review: Review, now: datetime) -> Review:
        proposal = verify(review.proposal.review_id, review, self._seal).proposal
        if review.answer is not None:
            return review
        answer = Answer(state="expired", by="", at=now, reason="nobody looked at it in time",
                        content_hash=proposal.content_hash)  # fmt: skip
        return review.model_copy(update={"answer": sealed_answer(answer, proposal, self._seal)})

    def _genuine(self, ids: Iterable[str]) -> tuple[Review, ...]:
        found: list[Review] = []
        for review_id in ids:
            try:
                found.append(self.read(review_id))
            except (NotFound, Forged, Damaged) as error:
                log.warning("review_not_read", review_id=review_id, code=error.code)
        return tuple(sorted(found, key=lambda one: (one.proposal.proposed_at, one.proposal.review_id)))


def _check_not_own(names: Sequence[str], proposal: Proposal) -> None:
    own = (proposal.proposer, *((proposal.begun_by,) if proposal.begun_by else ()))
    if any(same_person(name, own) for name in names):
        raise OwnRequest(f"{proposal.proposer} proposed this and may not approve it", fix="have somebody else answer")


def _check_open(review: Review, now: datetime) -> None:
    review_id = review.proposal.review_id
    if review.answer:
        raise ApprovalClosed(f"review {review_id} is {review.state} already", fix="see `c500 review list --all`")
    if now >= review.proposal.expires_at:
        raise ApprovalClosed(f"the time to answer {review_id} is over", fix="have it proposed anew")
