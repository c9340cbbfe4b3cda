"""How a run waits for people, and what is done about requests that wait."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from uuid import UUID

import structlog
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.context import FlowRunContext
from prefect.exceptions import ObjectNotFound

from blocks.approvals import Approval, ApprovalDecision, ApprovalRequest, Approvals, open_approvals, tally
from blocks.errors import C500Error
from blocks.escalation import Escalations, climb, read_chain
from blocks.logs import configure_logs
from blocks.model import Frozen
from blocks.progress import in_thread
from blocks.reviews import open_reviews
from blocks.settings import settings
from blocks.store import open_store
from blocks.store.files import Files
from flows.approval_form import Forms, form_key
from flows.paused_form import go_on

log = structlog.stdlib.get_logger("c500")

POLL_S = 2.0
"""Seconds between two looks whether somebody has answered."""

LONGEST_S = 600
"""Seconds after which a sweep is ended that waits for a store or a server; the next one goes on."""

on_asked: ContextVar[Callable[[ApprovalRequest], None] | None] = ContextVar("on_asked", default=None)
"""Is told of each question that is waited for: a command line shows it to who sits there."""

ASLEEP = timedelta(seconds=60)
"""A run that is still paused so long after its request was decided has no process any more."""


class ApprovalSweep(Frozen):
    """What a sweep did, by ids.

    Attributes:
        denied: Requests whose time was up.
        forged: Requests in the store that were not written by us, or are damaged.
        expired: Proposals of the review queue whose time was up.
        told: Requests that people were told of.
        woken: Requests whose run was paused by a process that has died, and goes on.
    """

    denied: tuple[str, ...] = ()
    forged: tuple[str, ...] = ()
    expired: tuple[str, ...] = ()
    told: tuple[str, ...] = ()
    woken: tuple[str, ...] = ()


async def wait_for_decision(
    request: ApprovalRequest, approvals: Approvals, *, poll_s: float = POLL_S
) -> ApprovalDecision:
    """Ask, and wait until it is decided or time is up.

    The store holds the truth: answers of the command line and the gateway end the wait, and one that stands there
    already is returned at once, without a pause. Within a flow run a form in the Prefect UI is one more way to answer;
    a Prefect server that is away takes only the form away.

    Args:
        request: The question.
        approvals: Where it is asked.
        poll_s: Seconds between two looks.

    Raises:
        Conflict: another question was asked under this id.
        Forged: what lies in the store was not written by us.
        StoreFailed: the store cannot be used.
        Stopped: the flow run was cancelled while it waited.
    """
    run_id = _own_run()
    request = request.model_copy(update={"flow_run_id": run_id and str(run_id)})
    await in_thread(approvals.withdraw_others, request, datetime.now(UTC))
    asked = (await in_thread(approvals.ask, request)).request
    if (tell := on_asked.get()) is not None:
        tell(asked)
    forms = None if run_id is None else Forms(asked, approvals, run_id)
    is_down = True
    try:
        while (decision := await in_thread(approvals.decision, asked.approval_id, datetime.now(UTC))) is None:
            if forms is not None:
                await forms.look()
            await asyncio.sleep(poll_s)
    finally:
        if forms is not None:
            is_down = await forms.take_down()
    if is_down:  # else the sweeper ends the pause
        await in_thread(approvals.taken, asked.approval_id)
    return decision


def _own_run() -> UUID | None:
    context = FlowRunContext.get()
    return context.flow_run.id if context and context.flow_run else None


@flow(name="sweep-approvals", persist_result=False, timeout_seconds=LONGEST_S)
async def sweep_approvals() -> ApprovalSweep:
    """Deny what is past its time, tell whoever is to be told by now, wake runs whose process died while they waited.

    Returns:
        What was done.
    """
    configure_logs()
    files, now = open_store(), datetime.now(UTC)
    approvals = open_approvals(files)
    swept = await in_thread(approvals.sweep, now)
    return ApprovalSweep(
        denied=swept.denied,
        forged=swept.forged,
        expired=await in_thread(open_reviews(files).sweep, now),
        told=await _told(approvals, files, now),
        woken=await _woken(approvals, now),
    )


async def _told(approvals: Approvals, files: Files, now: datetime) -> tuple[str, ...]:
    """Climb the chain of ESCALATION_FILE for each open request; one that cannot be told of stops no other."""
    if (path := settings().escalation_file) is None:
        return ()
    from blocks.redact import default_redactor

    redact = default_redactor().text
    chain, escalations = read_chain(path), Escalations(files)
    told: list[str] = []
    for approval in await in_thread(approvals.pending):
        approval_id = approval.request.approval_id
        try:
            if (await climb(approval, chain, escalations, now, redact=redact)).notices:
                told.append(approval_id)
        except C500Error as error:
            log.error("approval_not_told", approval_id=approval_id, code=error.code, error=error.message)
    return tuple(told)


async def _woken(approvals: Approvals, now: datetime) -> tuple[str, ...]:
    """End the pauses of runs that nobody would end: their process died, and the service brings back what runs."""
    asleep = [one for one in await in_thread(approvals.untaken) if _is_asleep(one, now)]
    woken: list[str] = []
    for approval in asleep:
        approval_id, run_id = approval.request.approval_id, UUID(approval.request.flow_run_id)
        async with get_client() as client:
            with suppress(ObjectNotFound):
                if await go_on(client, run_id, form_key(approval_id)):
                    woken.append(approval_id)
    return tuple(woken)


def _is_asleep(approval: Approval, now: datetime) -> bool:
    decided = tally(approval)
    return decided is not None and approval.request.flow_run_id is not None and now - decided.at > ASLEEP
