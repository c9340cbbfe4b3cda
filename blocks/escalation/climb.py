"""One step up the chain, as often as somebody asks for it: each channel is told once.

A message is claimed in the store before it is sent, and settled after. So of several sweepers one sends it. When that
one dies in between nobody knows whether it arrived: it is then sent once more, and says that it may be a repeat; the
same for one that was refused. After that it is left. A message goes out once, twice at most, never for ever.
"""

from datetime import datetime
from functools import partial
from uuid import uuid4

import structlog
from pydantic import SecretStr

from blocks.approvals.request import Approval
from blocks.errors import C500Error
from blocks.escalation.chain import Chain, Level, channel_id, channel_kind
from blocks.escalation.deliver import Deliver, deliver
from blocks.escalation.due import due, is_due
from blocks.escalation.message import Redact, message
from blocks.escalation.state import Escalation, Escalations, Notice
from blocks.progress import in_thread

log = structlog.stdlib.get_logger("c500")


async def climb(
    approval: Approval,
    chain: Chain,
    escalations: Escalations,
    now: datetime,
    *,
    redact: Redact,
    deliver: Deliver = deliver,
) -> Escalation:
    """Tell whoever is to be told of an open request now. A message that cannot be sent is recorded and stops nothing.

    Args:
        approval: The request.
        chain: Whom to tell.
        escalations: Who was told before.
        now: The time.
        redact: Takes secrets out of what is sent.
        deliver: Sends a message.

    Raises:
        Conflict, StoreFailed: the record of who was told cannot be written; then nobody is told.
    """
    approval_id = approval.request.approval_id
    escalation = await in_thread(escalations.read, approval_id)
    for level, channel in due(chain, escalation, now):
        claim = uuid4().hex
        claimed = partial(_claimed, level=level, channel=channel, claim=claim, now=now)
        escalation = await in_thread(escalations.change, approval_id, claimed)
        notice = escalation.notice(level.name, channel_id(channel))
        if notice is None or notice.claim != claim:
            continue  # somebody else tells it
        subject, body = message(approval, level.name, is_repeat=notice.tries > 1, redact=redact)
        fault = await _fault(deliver, channel, subject, body)
        log.info("approval_notice", approval_id=approval_id, level=level.name, kind=notice.kind, fault=fault)
        escalation = await in_thread(escalations.change, approval_id, partial(_settled, notice=notice, fault=fault))
    return escalation


async def _fault(deliver: Deliver, channel: SecretStr, subject: str, body: str) -> str:
    """Why a message could not be sent; empty when it was."""
    try:
        await deliver(channel, subject, body)
    except C500Error as error:
        return error.message
    return ""


def _claimed(found: Escalation, *, level: Level, channel: SecretStr, claim: str, now: datetime) -> Escalation:
    before = found.notice(level.name, channel_id(channel))
    if found.acknowledged_by is not None or not is_due(before, now):
        return found
    return found.with_notice(
        Notice(
            level=level.name,
            channel=channel_id(channel),
            kind=channel_kind(channel),
            claim=claim,
            first_at=before.first_at if before else now,
            at=now,
            tries=before.tries + 1 if before else 1,
            state="claimed",
        )
    )


def _settled(found: Escalation, *, notice: Notice, fault: str) -> Escalation:
    current = found.notice(notice.level, notice.channel)
    if current is None or current.claim != notice.claim:
        return found
    return found.with_notice(current.model_copy(update={"state": "failed" if fault else "sent", "fault": fault}))
