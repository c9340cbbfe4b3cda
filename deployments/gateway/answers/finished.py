"""What a finished task made: its result in the store."""

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    ArtifactFilterKey,
)

from blocks.job import JobResult
from blocks.progress import in_thread
from blocks.runs import JobRun
from blocks.store.files import Files
from deployments.gateway.answers.ownership import expired
from tasks.jobs.publish import read_result

METRICS = "metrics-"
"""What the key of the artifact begins with that every complete run leaves; the job's id follows."""


async def read_finished(prefect: PrefectClient, files: Files, run: JobRun) -> JobResult:
    """The result of a complete run. Raises `TaskNotFound` when its files are gone."""
    job_id = run.job_id or await _job_shown(prefect, run)
    result = await in_thread(read_result, files, job_id) if job_id else None
    if result is None:
        raise expired(run)
    return result


async def _job_shown(prefect: PrefectClient, run: JobRun) -> str | None:
    """The job's id by what the run showed: its label is missing when Prefect was away as the job began."""
    wanted = ArtifactFilter(
        flow_run_id=ArtifactFilterFlowRunId(any_=[run.run_id]), key=ArtifactFilterKey(like_=f"{METRICS}%")
    )
    found = await prefect.read_artifacts(artifact_filter=wanted, limit=1)
    return (found[0].key or "").removeprefix(METRICS) if found else None
