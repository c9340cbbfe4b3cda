"""From an upload to a run: one job for equal submissions, whatever crashes or races in between.

The upload gets its final name first, then the run is made; both names come from the content, so two gateways, or a
client that tries again after a crash, arrive at the same upload and the same run.
"""

from pathlib import Path
from typing import Any

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterIdempotencyKey

from blocks.content import content_hash
from blocks.job import JobOptions, job_folder
from blocks.model import Frozen
from blocks.progress import in_thread
from blocks.runs import JobRun, submit_run
from blocks.store.files import Files
from deployments.gateway.counters import SUBMITTED
from deployments.gateway.destinations import destination
from deployments.gateway.problems import KeyReused
from deployments.gateway.queue import Place

UPLOADS = "uploads"
TRIES_PER_PAGE = 64
MAX_KEY_CHARS = 255


class Submission(Frozen):
    """A job that somebody wants done.

    Attributes:
        flow: `process-audio` or `process-text`.
        owner: Id of the key.
        file: The input, a scratch file of the store.
        name: Its name, safe as part of a store key.
        sha256: Hash of its content.
        options: What to do with it.
        idempotency_key: The client's own word for which requests are the same; the content decides without it.
    """

    flow: str
    owner: str
    file: Path
    name: str
    sha256: str
    options: JobOptions
    idempotency_key: str | None = None

    @property
    def identity(self) -> str:
        """What equal submissions have in common, 32 hex digits; the name of the file does not count."""
        return content_hash([self.flow, self.owner, self.sha256, self.options, self.idempotency_key])[:32]

    @property
    def upload(self) -> str:
        """Store key of the input."""
        return f"{UPLOADS}/{self.identity}/{self.name}"

    @property
    def run_key(self) -> str:
        """Prefect's idempotency key of the first run."""
        if self.idempotency_key is None:
            return f"upload-{self.identity}"
        return f"asked-{content_hash([self.owner, self.idempotency_key])[:32]}"


async def submit(prefect: PrefectClient, files: Files, place: Place, job: Submission) -> JobRun:
    """The run of a submission: a new one, or that of an equal submission which waits, runs or is complete.

    Raises:
        KeyReused: the idempotency key came with another request before.
        StoreFailed: the upload cannot be kept.
    """
    await in_thread(files.put_file, job.upload, job.file)
    run = await _run(prefect, place, job, job.run_key)
    if job.idempotency_key is None:
        run = await _anew(prefect, files, place, job, run)
    place.taken = True
    SUBMITTED.labels(job.flow).inc()
    if run.upload != job.upload or run.status == "COMPLETE":
        await in_thread(files.delete, job.upload)  # the run has its own, or needs none any more
    if job.idempotency_key is not None and not (run.upload or "").startswith(f"{UPLOADS}/{job.identity}/"):
        raise KeyReused(
            "this Idempotency-Key belongs to another request",
            fix="use a new key for a new file or other options",
            task_id=str(run.run_id),
        )
    return run


async def _anew(prefect: PrefectClient, files: Files, place: Place, job: Submission, run: JobRun) -> JobRun:
    """Another run when the one there failed or its result has expired; the n-th try is the n-th for everybody."""
    tried = 0
    while await _spent(files, run):
        tried = await _tries(prefect, job.run_key, tried + 1)
        run = await _run(prefect, place, job, f"{job.run_key}-{tried}")
    return run


async def _spent(files: Files, run: JobRun) -> bool:
    """Whether the run can give nobody a result any more."""
    if run.status == "FAILED" or run.cancelling:
        return True
    if run.status != "COMPLETE" or run.job_id is None:
        return False
    return not await in_thread(files.exists, f"{job_folder(run.job_id)}/result.json")


async def _tries(prefect: PrefectClient, key: str, first: int) -> int:
    """Number of the latest try that has a run, from `first` on."""
    while True:
        numbers = {f"{key}-{number}": number for number in range(first, first + TRIES_PER_PAGE)}
        wanted = FlowRunFilter(idempotency_key=FlowRunFilterIdempotencyKey(any_=list(numbers)))
        runs = await prefect.read_flow_runs(flow_run_filter=wanted, limit=TRIES_PER_PAGE)
        found = [numbers[run.idempotency_key] for run in runs if run.idempotency_key in numbers]
        if len(found) < TRIES_PER_PAGE:
            return max(found, default=first)
        first += TRIES_PER_PAGE


async def _run(prefect: PrefectClient, place: Place, job: Submission, key: str) -> JobRun:
    goal = await destination(prefect, job.flow)
    parameters: dict[str, Any] = {
        "source": f"store://{job.upload}",
        "options": job.options.model_dump(mode="json", exclude_unset=True),
    }
    if job.flow == "process-text":
        parameters["source_name"] = job.name
    async with place.turn:
        return await submit_run(
            prefect,
            deployment=goal.deployment,
            parameters=parameters,
            name=job.name,
            owner=place.owner,
            idempotency_key=key,
            source_name=job.name,
            upload=job.upload,
            queue=place.work_queue if goal.queued else None,
        )
