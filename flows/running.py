"""What every job flow has around its stages."""

from collections.abc import AsyncGenerator, Awaitable
from contextlib import asynccontextmanager
from typing import TypeVar
from uuid import UUID

import httpx
import structlog
from prefect.artifacts import acreate_markdown_artifact, acreate_table_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType
from prefect.exceptions import PrefectHTTPStatusError
from prefect.runtime import deployment, flow_run
from prefect.settings import PREFECT_TASKS_REFRESH_CACHE, temporary_settings

from blocks.batch import BatchReport
from blocks.errors import C500Error, Stopped, TimedOut
from blocks.job import JobResult, Notice
from blocks.logs import configure_logs
from blocks.progress import only_informing
from blocks.runs.record import ERROR, INTERNAL_ERROR, JOB_ID, SEE_LOG, STAGE_OF_STEP, RunError
from flows.work import Work
from tasks.jobs.report import batch_markdown, metrics_rows, summary_markdown

T = TypeVar("T")

log = structlog.stdlib.get_logger("c500")

LONGEST_MESSAGE = 1000
"""Characters of an error's message that a label keeps."""


@asynccontextmanager
async def job_run(work: Work | None = None, *, refresh: bool) -> AsyncGenerator[None]:
    """Log the steps within under the flow run's id and, on refresh, compute each again.

    A failure is also written on the flow run, so that whoever asks for its status sees code and fix. A server that
    was away for too long is no failure of the job: its run crashes, and is run again. Nor is what becomes of a
    process that was taken for dead, once its successor has completed the run: the flow then returns nothing.

    Args:
        work: The job, where the run has only one.
        refresh: Whether to compute again whatever is stored.
    """
    configure_logs()
    with (
        structlog.contextvars.bound_contextvars(flow_run_id=flow_run.id),
        temporary_settings({PREFECT_TASKS_REFRESH_CACHE: refresh}),
    ):
        try:
            yield
        except Exception as error:
            if deployment.id is not None and is_server_lost(error):
                raise ServerLost(f"Prefect's server did not come back: {error}") from error
            if await already_complete():
                log.warning("another process has completed the run", error=str(error), kind=type(error).__name__)
                return
            await label_run({ERROR: run_error(error, work and work.timeline.step).model_dump_json()})
            raise


class ServerLost(BaseException):
    """Prefect's server was away for longer than its client waits; Prefect takes what is no Exception for a crash."""


def is_server_lost(error: BaseException | None) -> bool:
    """Whether an error comes from Prefect's server being away or broken."""
    if error is None or isinstance(error, C500Error):
        return False
    if isinstance(error, PrefectHTTPStatusError):
        return error.response.is_server_error
    return isinstance(error, httpx.TransportError) or is_server_lost(error.__cause__)


async def already_complete() -> bool:
    """Whether the flow run in hand was completed by another process; the server would let it fail all the same."""
    run_id: str | None = flow_run.id
    if run_id is None:
        return False
    async with only_informing("failure"), get_client() as client:
        return (await client.read_flow_run(UUID(run_id))).state_type == StateType.COMPLETED
    return False


async def name_job(work: Work) -> None:
    """Write on the flow run which job it is."""
    await label_run({JOB_ID: work.job.job_id})


async def label_run(labels: dict[str, str]) -> None:
    """Put labels on the flow run in hand, if there is one.

    Waits for a server that is away as long as the run itself does: clients find results by the job's id.
    """
    run_id: str | None = flow_run.id
    if run_id is None:
        return
    async with only_informing("labels", within_s=None), get_client() as client:
        await client.update_flow_run_labels(UUID(run_id), dict(labels))


def run_error(error: Exception, step: str | None = None) -> RunError:
    """What a flow run tells of the error that ended it; `step` is the one in hand."""
    stage = STAGE_OF_STEP.get(step) if step else None
    if isinstance(error, C500Error):
        return RunError(code=error.code, message=error.message[:LONGEST_MESSAGE], fix=error.fix, stage=stage)
    message = f"{type(error).__name__}: {error}"[:LONGEST_MESSAGE]
    return RunError(code=INTERNAL_ERROR, message=message, fix=SEE_LOG, stage=stage)


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
    name = result.source_name
    async with only_informing("summary and metrics"):
        await acreate_markdown_artifact(
            key=f"summary-{result.job_id}", markdown=summary_markdown(result), description=name
        )
        await acreate_table_artifact(key=f"metrics-{result.job_id}", table=metrics_rows(result), description=name)
    return result


async def show_batch(report: BatchReport) -> BatchReport:
    """Show the report in the Prefect UI."""
    async with only_informing("report"):
        await acreate_markdown_artifact(key=f"batch-{report.batch_id}", markdown=batch_markdown(report))
    return report
