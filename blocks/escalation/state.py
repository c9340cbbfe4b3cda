"""Who was told of a request and when, and who has it in hand; kept in the store."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Literal

from pydantic import AwareDatetime

from blocks.approvals.identity import person, same_person
from blocks.approvals.records import Records
from blocks.approvals.refusals import OwnRequest
from blocks.approvals.request import Approval
from blocks.model import Frozen
from blocks.store.files import Files


class Notice(Frozen):
    """That a channel was told, is being told, or could not be told.

    Attributes:
        level: Name of the level.
        channel: Id of the channel; see `channel_id`.
        kind: Of the channel, for people.
        claim: Names the attempt: only who made it says how it ended.
        first_at: When the first attempt began.
        at: When this attempt began.
        tries: How many there were with this one.
        state: `claimed` before it is sent, `sent` after; `failed` when it was refused.
        fault: Why it failed.
    """

    level: str
    channel: str
    kind: str
    claim: str
    first_at: AwareDatetime
    at: AwareDatetime
    tries: int
    state: Literal["claimed", "sent", "failed"]
    fault: str = ""


class Escalation(Frozen):
    """How far a request has climbed.

    Attributes:
        approval_id: Which.
        notices: One for each channel that was told, in the order of their first attempts.
        acknowledged_by: Who has it in hand.
        acknowledged_at: Since when.
    """

    approval_id: str
    notices: tuple[Notice, ...] = ()
    acknowledged_by: str | None = None
    acknowledged_at: AwareDatetime | None = None

    def notice(self, level: str, channel: str) -> Notice | None:
        """What is known of a channel of a level."""
        return next((one for one in self.notices if (one.level, one.channel) == (level, channel)), None)

    def with_notice(self, notice: Notice) -> "Escalation":
        """The same with this notice in the place of the former one of its channel."""
        others = [one for one in self.notices if (one.level, one.channel) != (notice.level, notice.channel)]
        in_order = sorted((*others, notice), key=lambda one: one.first_at)
        return self.model_copy(update={"notices": tuple(in_order)})


class Escalations:
    """The records in a store; every change is a compare-and-swap.

    Args:
        files: The store.
    """

    def __init__(self, files: Files) -> None:
        self._records = Records(files, "escalations", Escalation, kind="escalation", listing="c500 approve list")

    def read(self, approval_id: str) -> Escalation:
        """How far a request has climbed; not at all where nothing is known of it."""
        return self._records.find(approval_id) or Escalation(approval_id=approval_id)

    def change(self, approval_id: str, change: Callable[[Escalation], Escalation]) -> Escalation:
        """Compare-and-swap. Raises `Conflict`, `StoreFailed`."""
        self._records.create(approval_id, Escalation(approval_id=approval_id))
        return self._records.change(approval_id, change)

    def acknowledge(self, approval: Approval, *, by: str, now: datetime, aliases: Sequence[str] = ()) -> Escalation:
        """Say that somebody has it in hand: nobody else is told. Who was first stays.

        Raises:
            OwnRequest: who asks cannot keep it from others.
            BadInput: `by` is no name.
        """
        request = approval.request

        def acknowledged(found: Escalation) -> Escalation:
            if found.acknowledged_by is not None:
                return found
            return found.model_copy(update={"acknowledged_by": by, "acknowledged_at": now})

        person(by)
        if any(same_person(name, request.askers) for name in (by, *aliases)):
            raise OwnRequest(f"{request.requester} asked for this", fix="have somebody else take it in hand")
        return self.change(request.approval_id, acknowledged)
