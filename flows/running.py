"""What every job flow has around its stages."""

from collections.abc import AsyncGenerator, Awaitable
from contextlib import asynccontextmanager
from typing import TypeVar

import structlog
from prefect.artifacts import acreate_markdown_artifact, acreate_table_artifact
from prefect.runtime import flow_run
from prefect.settings import PREFECT_TASKS_REFRESH_CACHE, temporary_settings

from blocks.batch import BatchReport
from blocks.errors import C500Error, Stopped, TimedOut
from blocks.job import JobResult, Notice
from blocks.logs import configure_logs
from flows.work import Work
from tasks.jobs.report import batch_markdown, metrics_rows, summary_markdown

T = TypeVar("T")


@asynccontextmanager
async def job_run(*, refresh: bool) -> AsyncGenerator[None]:
    """Log the steps within under the flow run's id and, on refresh, compute each again."""
    configure_logs()
    with (
        structlog.contextvars.bound_contextvars(flow_run_id=flow_run.id),
        temporary_settings({PREFECT_TASKS_REFRESH_CACHE: refresh}),
    ):
        yield


async def attempt(step: str, made: Awaitable[T], work: Work) -> T | None:
    """The outcome of a step the job can do without; its failure becomes a notice.

    A transcript is worth keeping when the language engine fails, so its steps may fail.
    """
    try:
        return await made
    except Stopped:
        raise
    except C500Error as error:
        notice = Notice(step=step, code=error.code, message=f"{error.message} ({error.fix})")
    except TimeoutError as error:
        notice = Notice(step=step, code=TimedOut.code, message=str(error))
    work.notices = (*work.notices, notice)
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
