"""What every operations flow has around its steps."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import structlog
from prefect.artifacts import acreate_markdown_artifact
from prefect.runtime import flow_run
from pydantic import BaseModel

from blocks.errors import C500Error, Stopped
from blocks.escalation.channels import Posted, post_to_operators, read_channels
from blocks.progress import in_thread, only_informing
from blocks.redact import default_redactor
from blocks.settings import settings
from blocks.store import open_store
from flows.running import job_run
from tasks.ops.options import OperationsOptions
from tasks.ops.run_records import RunRecord, RunRecords

if TYPE_CHECKING:
    from tasks.ops.performer import Performer

log = structlog.stdlib.get_logger("c500")


@asynccontextmanager
async def operating(
    flow: str, options: OperationsOptions, subject: str = "", *, same_subject: bool = False
) -> AsyncGenerator["Performer"]:
    """Someone to do the deeds of the flow run in hand, with rules, approvals, ledger and audit.

    Args:
        flow: The flow's name.
        options: How it is run.
        subject: What it is about, for the audit and the list of runs.
        same_subject: Whether a run that goes on must be about the same.

    Raises:
        Conflict: `run_id` is that of a run about something else.
        BadInput, NotFound: the policy or the profile cannot be used.
        StoreFailed: audit or ledger cannot be used.
    """
    # Within: these take a second to import, which every other flow would pay.
    from blocks.approvals import login_name, open_approvals
    from blocks.audit.places import open_audit
    from blocks.effects import EffectLedger
    from blocks.policy.open import open_operations_policy
    from blocks.switches import FOLDER, open_switches
    from flows.approvals import wait_for_decision
    from tasks.ops.performer import Performer

    chosen, policy = settings(), open_operations_policy()
    home = chosen.agents_home.expanduser()
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    _say_that_nobody_is_told()
    profile = options.profile or chosen.operations_profile
    policy.in_force(profile)
    approvals = open_approvals()
    performer = Performer(
        run_id=options.run_id or own_run_id(flow),
        flow=flow,
        user=options.user or login_name(),
        begun_by=login_name(),
        profile=profile,
        attended=options.attended,
        dry_run=options.dry_run or policy.dry_run(profile),
        approval_s=options.approval_s,
        ask_model=options.ask_model,
        policy=policy,
        effects=EffectLedger(home / "effects"),
        audit=open_audit(home, default_redactor()),
        switches=open_switches(chosen.switches_url, home / FOLDER),
        redactor=default_redactor(),
        ask=lambda request: wait_for_decision(request, approvals),
        tell=post,
    )
    attempt = sha256(f"{performer.run_id}/{flow_run.id}/{flow_run.run_count}".encode()).hexdigest()[:12]
    records = RunRecords(open_store())
    async with job_run(refresh=False):
        record = RunRecord(
            run_id=performer.run_id,
            flow=flow,
            subject=default_redactor().text(subject),
            user=performer.user,
            begun_at=datetime.now(UTC),
        )
        if not performer.dry_run:
            await in_thread(records.begin, record, same_subject=same_subject)
        elif same_subject:
            await in_thread(records.check_same, record)
        await performer.note("run_started", f"started/{attempt}", trigger=subject or flow)
        try:
            yield performer
        except (Exception, asyncio.CancelledError) as error:
            with suppress(C500Error):  # what went wrong is to be seen, and not that it cannot be written down
                ended = _ended_by(error)
                await performer.note("run_ended", f"ended/{attempt}", **ended)
                await in_thread(records.end, performer.run_id, flow, ended["outcome"])
            raise
        await performer.note("run_ended", f"ended/{attempt}", outcome="completed")
        await in_thread(records.end, performer.run_id, flow, "completed")


def _ended_by(error: BaseException) -> dict[str, Any]:
    """How a run ended that an exception ended, for audit and record."""
    if isinstance(error, Stopped | asyncio.CancelledError):
        return {"outcome": "stopped", "reasoning": str(error) or "it was cancelled"}
    told = f"{error.code}: {error.message}" if isinstance(error, C500Error) else type(error).__name__
    return {"outcome": "failed", "reasoning": told[:1000]}


def own_run_id(flow: str) -> str:
    """The id of the run of operations that this flow run begins; the same when Prefect runs it again."""
    return sha256(f"{flow}/{flow_run.id}".encode()).hexdigest()[:16]


async def post(subject: str, body: str) -> Posted:
    """Send a message over the channels of OPERATIONS_CHANNELS_FILE; one that is lost stops nothing."""
    return await post_to_operators(subject, body, default_redactor().text)


def _say_that_nobody_is_told() -> None:
    """Say at the beginning that the channels are wrong: the run is done all the same, and may be needed badly."""
    if (file := settings().operations_channels_file) is None:
        return
    try:
        read_channels(file)
    except C500Error as error:
        log.error("operations_channels_wrong", error=error.message, fix=error.fix)


async def show_markdown(key: str, markdown: str, description: str = "") -> None:
    """Show a report in the Prefect UI."""
    async with only_informing("report"):
        await acreate_markdown_artifact(
            key=key, markdown=default_redactor().text(markdown), description=description[:200]
        )


def report_key(folder: str, run_id: str, *, dry_run: bool) -> str:
    """Where a run's report lies: that of a dry run beside what the run itself did, which it must not replace."""
    return f"{folder}/{run_id}/{'dry-run' if dry_run else 'report'}.json"


async def keep_report(key: str, report: BaseModel) -> None:
    """Put a report into the store as JSON. Raises `StoreFailed`."""
    # Names of files and lines of logs may hold halves of characters, which UTF-8 has no bytes for.
    content = report.model_dump_json().encode("utf-8", "surrogatepass")
    await in_thread(open_store().put_bytes, key, content, "application/json")
