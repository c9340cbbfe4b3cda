"""Questions to people about an agent's calls, their answers, and what these come to; all of it in the store."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

import structlog

from blocks.action import Risk
from blocks.approvals.records import Damaged, Purged, Records
from blocks.approvals.refusals import Forged
from blocks.approvals.request import Approval, ApprovalDecision, ApprovalRequest, Channel, Expiry
from blocks.approvals.seal import Seal
from blocks.approvals.tally import sealed_expiry, sealed_request, sealed_vote, tally, verify
from blocks.approvals.voting import Answer, vote_of
from blocks.errors import C500Error, Conflict, NotFound
from blocks.model import Frozen
from blocks.store.files import Files

KEPT = timedelta(days=1)
"""So long a decided request stays among those that are looked after, unless its run takes the decision."""

MAY_DIFFER = {"arguments", "asked_at", "expires_at", "flow_run_id", "reason", "policy_version"}
"""Of a request that is asked again: bound are the call, by its hash, and what is demanded for it."""

Attempted = Callable[[ApprovalRequest, Answer, str], None]
"""Is told of each answer: the request, the answer, and `counted` or the code of the error that refuses it."""

log = structlog.stdlib.get_logger("c500")


class Swept(Frozen):
    """What a sweep found.

    Attributes:
        denied: Requests whose time was up.
        forged: Requests whose record was not written by us, or is damaged; they are left as they are.
    """

    denied: tuple[str, ...] = ()
    forged: tuple[str, ...] = ()


class Approvals:
    """The requests in a store. Every change is a compare-and-swap; several processes may use one store.

    Args:
        files: The store.
        key: Of the seals, 32 bytes or more; the same wherever requests are asked, answered or read.
        form_up_to: The highest risk for which an answer by a form of the Prefect UI counts.
        attempted: Is told of each answer.
    """

    def __init__(
        self, files: Files, key: bytes, *, form_up_to: Risk = "medium", attempted: Attempted | None = None
    ) -> None:
        self._records = Records(files, "approvals", Approval, kind="approval", listing="c500 approve list")
        self._seal = Seal(key)
        self.form_up_to: Risk = form_up_to
        self._attempted = attempted

    def ask(self, request: ApprovalRequest) -> Approval:
        """Ask; the same request again changes nothing, but that another flow run may wait for it by now.

        Raises:
            Conflict: another request has this id.
            Forged: the one in the store was not written by us.
        """
        self._records.mark(request.approval_id)
        self._records.create(request.approval_id, sealed_request(request, self._seal))
        return self._records.change(request.approval_id, lambda found: self._asked_again(found, request))

    def vote(
        self,
        approval_id: str,
        *,
        by: str,
        verdict: Literal["approve", "deny"],
        channel: Channel,
        now: datetime,
        arguments_hash: str | None = None,
        arguments: dict[str, Any] | None = None,
        reason: str = "",
        aliases: Sequence[str] = (),
    ) -> Approval:
        """Answer a request.

        Args:
            approval_id: Which.
            by: Who answers.
            verdict: What.
            channel: How the answer came.
            now: The time.
            arguments_hash: Of the arguments that the person has seen; may be left out where there is one version.
            arguments: These arguments instead, as the person changed them.
            reason: In their words.
            aliases: Other names of the same person, as the id of their key.

        Returns:
            The request with its votes.

        Raises:
            NotFound: there is no such request.
            ApprovalClosed: it is decided, or its time is up.
            OwnRequest: who asks may not answer.
            Unauthenticated: for this risk no answer counts that comes by this channel.
            VotedAlready: the person has said the same before.
            OtherArguments: these arguments are not on the table, or it is not said which of several are meant.
            BadInput: `by` is no name, or the arguments are no JSON.
            Forged: the record was not written by us.
        """
        answer = Answer(
            by=by, verdict=verdict, channel=channel, arguments_hash=arguments_hash, arguments=arguments, reason=reason,
            aliases=aliases,
        )  # fmt: skip

        def answered(approval: Approval) -> Approval:
            verify(approval_id, approval, self._seal)
            vote = sealed_vote(vote_of(answer, approval, now, self.form_up_to), approval.request, self._seal)
            return approval.model_copy(update={"votes": (*approval.votes, vote)})

        try:
            found = self._records.change(approval_id, answered)
        except C500Error as error:
            self._tell(approval_id, answer, error.code)
            raise
        self._tell(approval_id, answer, "counted")
        return found

    def read(self, approval_id: str) -> Approval:
        """One request with its votes. Raises `NotFound`, `Forged`, `Damaged`, `StoreFailed`."""
        return verify(approval_id, self._records.read(approval_id), self._seal)

    def decision(self, approval_id: str, now: datetime) -> ApprovalDecision | None:
        """What became of a request; None while it is open. One whose time is up is denied for good.

        Raises:
            NotFound: there is no such request.
            Forged: its record was not written by us.
        """
        found = self.read(approval_id)
        if (decided := tally(found)) is None and now >= found.request.expires_at:
            decided = tally(self._records.change(approval_id, lambda approval: self._expired(approval, now)))
        return decided

    def taken(self, approval_id: str) -> None:
        """Say that the run knows its decision: nobody needs to look after the request any more."""
        self._records.unmark(approval_id)

    def pending(self) -> tuple[Approval, ...]:
        """All requests that are open, oldest first; forged and damaged ones are left out, see `sweep`."""
        return tuple(one for one in self._genuine(self._records.marked()) if tally(one) is None)

    def untaken(self) -> tuple[Approval, ...]:
        """All requests that are decided, and whose run has not taken the decision yet."""
        return tuple(one for one in self._genuine(self._records.marked()) if tally(one) is not None)

    def every(self) -> tuple[Approval, ...]:
        """All requests of the store, also decided ones, oldest first; forged and damaged ones are left out."""
        return self._genuine(self._records.ids())

    def withdraw_others(self, request: ApprovalRequest, now: datetime) -> tuple[str, ...]:
        """End what was asked before about the same call, as under other rules: its answer would change nothing.

        Args:
            request: The question that stands now.
            now: The time.

        Returns:
            The ids of those that were open.
        """
        stale = [
            one.request.approval_id
            for one in self.pending()
            if (one.request.run_id, one.request.call_id) == (request.run_id, request.call_id)
            and one.request.approval_id != request.approval_id
        ]
        for approval_id in stale:
            self._records.change(approval_id, lambda found: self._expired(found, now))
            self.taken(approval_id)
        return tuple(stale)

    def sweep(self, now: datetime) -> Swept:
        """Deny what is past its time, and forget what is settled."""
        denied: list[str] = []
        forged: list[str] = []
        for approval_id in self._records.marked():
            try:
                if self._swept(approval_id, now):
                    denied.append(approval_id)
            except (Forged, Damaged) as error:
                log.error("approval_forged", approval_id=approval_id, error=error.message)
                forged.append(approval_id)
        return Swept(denied=tuple(denied), forged=tuple(forged))

    def purge(
        self,
        older_than_s: float,
        now: datetime,
        *,
        also: Callable[[str], object] | None = None,
        keep: Callable[[ApprovalRequest], bool] = lambda _: False,
    ) -> Purged:
        """Delete requests that were decided longer ago; a run that asks again is asked about anew.

        Open ones stay, and so do forged and damaged ones: they are evidence.

        Args:
            older_than_s: Seconds.
            now: The time.
            also: Is told of each before it is deleted, to delete what belongs to it.
            keep: Says which stay all the same.
        """
        before = now - timedelta(seconds=older_than_s)
        gone: list[str] = []
        size_bytes = 0
        for approval_id in tuple(self._records.ids()):
            try:
                approval = self.read(approval_id)
                decided = tally(approval)
            except (NotFound, Forged, Damaged):
                continue
            if decided is None or decided.at >= before or keep(approval.request):
                continue
            if also is not None:
                also(approval_id)
            self.taken(approval_id)
            size_bytes += self._records.remove(approval_id)
            gone.append(approval_id)
        return Purged(ids=tuple(gone), size_bytes=size_bytes)

    def _swept(self, approval_id: str, now: datetime) -> bool:
        """Whether it was open and is denied by now."""
        try:
            was_open = tally(self.read(approval_id)) is None
            decided = self.decision(approval_id, now)
        except NotFound:
            self._records.unmark_half_made(approval_id)
            return False
        if decided and now - decided.at > KEPT:
            self.taken(approval_id)
        return was_open and decided is not None and not decided.approved

    def _asked_again(self, found: Approval, request: ApprovalRequest) -> Approval:
        stored = verify(request.approval_id, found, self._seal).request
        if stored.model_dump(exclude=MAY_DIFFER) != request.model_dump(exclude=MAY_DIFFER):
            raise Conflict(f"another request has the id {request.approval_id}", fix="give each call an id of its own")
        if stored.flow_run_id == request.flow_run_id:
            return found
        moved = sealed_request(stored.model_copy(update={"flow_run_id": request.flow_run_id}), self._seal)
        return found.model_copy(update={"request": moved.request, "seal": moved.seal})

    def _expired(self, approval: Approval, now: datetime) -> Approval:
        verify(approval.request.approval_id, approval, self._seal)
        if tally(approval) is not None:
            return approval
        return approval.model_copy(update={"expiry": sealed_expiry(Expiry(at=now), approval.request, self._seal)})

    def _genuine(self, ids: Iterable[str]) -> tuple[Approval, ...]:
        found: list[Approval] = []
        for approval_id in ids:
            try:
                found.append(self.read(approval_id))
            except (NotFound, Forged, Damaged):
                continue
        return tuple(sorted(found, key=lambda one: (one.request.asked_at, one.request.approval_id)))

    def _tell(self, approval_id: str, answer: Answer, outcome: str) -> None:
        log.info("approval_answered", approval_id=approval_id, by=answer.by, outcome=outcome)
        if self._attempted is not None and (found := self._records.find(approval_id)) is not None:
            self._attempted(found.request, answer, outcome)
