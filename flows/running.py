"""What every job flow has around its steps."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, TypeVar

import structlog
from prefect.artifacts import acreate_markdown_artifact, acreate_table_artifact
from prefect.runtime import flow_run
from prefect.settings import PREFECT_TASKS_REFRESH_CACHE, temporary_settings

from blocks import timeline
from blocks.batch import BatchItem, BatchReport, Outcome
from blocks.errors import BadInput, C500Error, EngineFailed, EngineUnavailable, TimedOut
from blocks.job import Job, JobOptions, JobResult, Notice, Status
from blocks.logs import configure_logs
from blocks.settings import settings
from blocks.store import open_store
from tasks.jobs.report import batch_markdown, metrics_rows, summary_markdown

T = TypeVar("T")

AUDIO_TIME_SHARE = 1.0
"""Seconds a job may take for each second of audio, on top of JOB_TIMEOUT."""

OUTCOMES: dict[Status, Outcome] = {"complete": "done", "partial": "partial", "no_speech": "no_speech"}


@asynccontextmanager
async def job_run(*, refresh: bool) -> AsyncGenerator[None]:
    """Record the steps within, log them under the flow run's id and, on refresh, compute each again."""
    configure_logs()
    with (
        timeline.record(),
        structlog.contextvars.bound_contextvars(flow_run_id=flow_run.id),
        temporary_settings({PREFECT_TASKS_REFRESH_CACHE: refresh}),
    ):
        yield


@asynccontextmanager
async def limits_of(job: Job, audio_s: float | None = None) -> AsyncGenerator[None]:
    """Stop the steps within after JOB_TIMEOUT seconds beyond the length of the audio.

    An input that turns out to be unusable is removed from the store again.

    Raises:
        TimedOut: the steps took longer.
    """
    guard = asyncio.timeout(None)
    limit_s = settings().job_timeout + AUDIO_TIME_SHARE * (audio_s or 0)
    try:
        with structlog.contextvars.bound_contextvars(job_id=job.job_id):
            async with asyncio.timeout(limit_s) as guard:
                yield
    except TimeoutError as error:
        what = f"the job took longer than {limit_s:.0f} s" if guard.expired() else f"a step took too long: {error}"
        raise TimedOut(
            what,
            fix="raise JOB_TIMEOUT, or use a faster engine; finished steps are kept",
        ) from error
    except BadInput:
        open_store().delete(job.source.key)
        raise


async def attempt(step: str, work: Awaitable[T], notices: list[Notice]) -> T | None:
    """The outcome of a step the job can do without; its failure becomes a notice.

    A transcript is worth keeping when the language engine fails, so its steps may fail.
    """
    try:
        return await work
    except (EngineFailed, EngineUnavailable) as error:
        notices.append(Notice(step=step, code=error.code, message=f"{error.message} ({error.fix})"))
    except TimeoutError as error:
        notices.append(Notice(step=step, code=TimedOut.code, message=str(error)))
    return None


async def show(result: JobResult) -> JobResult:
    """Show the result in the Prefect UI: the summary as Markdown, the metrics as a table."""
    await acreate_markdown_artifact(
        key=f"summary-{result.job_id}", markdown=summary_markdown(result), description=result.source_name
    )
    await acreate_table_artifact(
        key=f"metrics-{result.job_id}", table=metrics_rows(result), description=result.source_name
    )
    return result


async def show_batch(report: BatchReport) -> BatchReport:
    """Show the report in the Prefect UI."""
    await acreate_markdown_artifact(key=f"batch-{report.batch_id}", markdown=batch_markdown(report))
    return report


async def try_recording(
    flow: Callable[[str, JobOptions, bool], Coroutine[Any, Any, JobResult]],
    source: str,
    options: JobOptions,
    refresh: bool,
) -> BatchItem:
    """Run the flow on one recording of a batch; its failure is an outcome, not an error."""
    started = datetime.now(UTC)
    try:
        result = await flow(source, options, refresh)
    except C500Error as error:
        return BatchItem(source=source, outcome="failed", code=error.code, message=error.message, fix=error.fix)
    except Exception as error:  # noqa: BLE001 - recorded: one recording must not stop the others
        return BatchItem(
            source=source,
            outcome="failed",
            code=type(error).__name__,
            message=str(error),
            fix="see the log of its flow run, and report it",
        )
    found = result.status == "complete" and result.finished_at < started
    outcome: Outcome = "found" if found else OUTCOMES[result.status]
    return BatchItem(source=source, outcome=outcome, job_id=result.job_id)
