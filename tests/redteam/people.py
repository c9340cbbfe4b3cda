"""People who answer a run's question, honest ones and others, and what somebody writes into the store meanwhile."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from blocks.action import hash_of
from blocks.approvals import ApprovalDecision, Approvals, login_name, open_approvals
from blocks.approvals.request import ApprovalRequest
from blocks.approvals.request import Vote as Cast
from blocks.approvals.seal import Seal
from blocks.approvals.tally import sealed_vote
from blocks.errors import C500Error
from blocks.store import open_store
from blocks.store.files import Files
from tests.redteam.case import RunCase
from tests.redteam.parts import Vote
from tests.redteam.world import World

Json = dict[str, Any]


class People:
    """Who is asked by a run.

    Args:
        case: Says who they are, and what they do.
        world: Where.

    Attributes:
        asked: The questions.
    """

    def __init__(self, case: RunCase, world: World) -> None:
        self._case, self._world = case, world
        self.asked: list[ApprovalRequest] = []

    async def ask(self, request: ApprovalRequest) -> ApprovalDecision:
        """Ask; everybody says at once what they have to say, and then time runs out."""
        self.asked.append(request)
        approvals, files = open_approvals(), open_store()
        approvals.ask(request)
        for name, target in self._case.meanwhile.items():
            self._swap(name, target)
        if self._case.forgery:
            FORGERIES[self._case.forgery](files, request, approvals)
        for vote in self._case.people:
            if vote.question == len(self.asked):
                self._answer(approvals, request, vote)
        ends = request.expires_at + timedelta(seconds=1)
        decided = approvals.decision(request.approval_id, datetime.now(UTC))
        return decided or _must(approvals.decision(request.approval_id, ends))

    def _swap(self, name: str, target: str) -> None:
        path = self._world.workspace / name
        path.unlink(missing_ok=True)
        path.symlink_to(self._world.filled(target))

    def _answer(self, approvals: Approvals, request: ApprovalRequest, vote: Vote) -> None:
        now = request.asked_at + timedelta(seconds=vote.after_s)
        if now >= request.expires_at:
            approvals.sweep(now)
        fill = self._world.filled
        refused = None
        try:
            approvals.vote(
                request.approval_id,
                by=fill(vote.by).replace("<login>", login_name()),
                verdict=vote.says,
                channel=vote.channel,
                now=now,
                arguments=None if vote.given is None else fill(vote.given),
                arguments_hash=None if vote.hash_of is None else hash_of(request.tool, fill(vote.hash_of)),
            )
        except C500Error as error:
            refused = error.code
        assert refused == vote.refused, f"the answer of {vote.by}"


def _must(decision: ApprovalDecision | None) -> ApprovalDecision:
    assert decision is not None
    return decision


def _key(approval_id: str) -> str:
    return f"approvals/records/{approval_id}.json"


def _changed(files: Files, approval_id: str, change: Callable[[Json], None]) -> None:
    """Write into the store as who has got hold of it, and not of the key of the seals."""
    record = json.loads(files.read_bytes(_key(approval_id)))
    change(record)
    files.put_bytes(_key(approval_id), json.dumps(record).encode())


def _yes(request: ApprovalRequest, by: str = "ben") -> Cast:
    at = request.asked_at + timedelta(seconds=1)
    return Cast(
        approval_id=request.approval_id,
        by=by,
        verdict="approve",
        arguments_hash=request.arguments_hash,
        at=at,
        channel="cli",
    )


def _unsealed(files: Files, request: ApprovalRequest, _approvals: Approvals) -> None:
    vote = _yes(request).model_dump(mode="json") | {"seal": "0" * 64}
    _changed(files, request.approval_id, lambda record: record["votes"].append(vote))


def _other_key(files: Files, request: ApprovalRequest, _approvals: Approvals) -> None:
    vote = sealed_vote(_yes(request), request, Seal(b"k" * 32)).model_dump(mode="json")
    _changed(files, request.approval_id, lambda record: record["votes"].append(vote))


def _replayed(files: Files, request: ApprovalRequest, approvals: Approvals) -> None:
    """The genuine answer to an earlier question about the very same call is put under this one."""
    earlier = request.model_copy(update={"approval_id": "e" * 16, "call_id": "earlier"})
    approvals.ask(earlier)
    found = approvals.vote(earlier.approval_id, by="ben", verdict="approve", channel="cli", now=_yes(earlier).at)
    votes = [vote.model_dump(mode="json") | {"approval_id": request.approval_id} for vote in found.votes]
    _changed(files, request.approval_id, lambda record: record.update(votes=votes))


def _record_replayed(files: Files, request: ApprovalRequest, approvals: Approvals) -> None:
    """The whole approved record of an earlier question takes the place of this one."""
    earlier = request.model_copy(update={"approval_id": "e" * 16, "call_id": "earlier"})
    approvals.ask(earlier)
    approvals.vote(earlier.approval_id, by="ben", verdict="approve", channel="cli", now=_yes(earlier).at)
    files.put_bytes(_key(request.approval_id), files.read_bytes(_key(earlier.approval_id)))


def _less_persons(files: Files, request: ApprovalRequest, approvals: Approvals) -> None:
    approvals.vote(request.approval_id, by="ben", verdict="approve", channel="cli", now=_yes(request).at)
    _changed(files, request.approval_id, lambda record: record["request"].update(persons=1))


def _other_requester(files: Files, request: ApprovalRequest, _approvals: Approvals) -> None:
    _changed(files, request.approval_id, lambda record: record["request"].update(requester="zoe", begun_by="zoe"))


def _harmless_look(files: Files, request: ApprovalRequest, _approvals: Approvals) -> None:
    """People are shown other arguments than those that would be used."""
    _changed(files, request.approval_id, lambda record: record["request"].update(arguments={"argv": ["ls"]}))


def _more_time(files: Files, request: ApprovalRequest, _approvals: Approvals) -> None:
    later = (request.expires_at + timedelta(days=30)).isoformat()
    _changed(files, request.approval_id, lambda record: record["request"].update(expires_at=later))


FORGERIES: dict[str, Callable[[Files, ApprovalRequest, Approvals], None]] = {
    "a vote without a seal": _unsealed,
    "a vote sealed with another key": _other_key,
    "the votes of another approval": _replayed,
    "another approval in its place": _record_replayed,
    "fewer persons": _less_persons,
    "another requester": _other_requester,
    "harmless arguments to look at": _harmless_look,
    "more time": _more_time,
}
