"""From an upload to a run: one job for equal submissions, whatever crashes or races in between.

The upload gets its final name first, then the run is made; both names come from the content, so two gateways, or a
client that tries again after a crash, arrive at the same upload and the same run.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from litestar import Request
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterIdempotencyKey

from blocks.content import content_hash
from blocks.errors import BadInput, Unsupported
from blocks.job import JobOptions
from blocks.keys import ApiKey
from blocks.model import Frozen
from blocks.progress import in_thread
from blocks.runs import JobRun, find_run, submit_run
from blocks.store.files import Files
from deployments.gateway.counters import SUBMITTED
from deployments.gateway.intake.admission import Admission, Place
from deployments.gateway.intake.destinations import destination
from deployments.gateway.intake.quotas import Quotas
from deployments.gateway.intake.uploads import Form, announced_bytes, receive_upload
from deployments.gateway.web.problems import KeyReused, QueueFull
from tasks.jobs.publish import read_result
from tasks.llm.template import template_asked_for

T = TypeVar("T")

UPLOADS = "uploads"
TRIES_PER_PAGE = 64
IDEMPOTENCY_KEY = "Idempotency-Key"
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
        template_sha256: Hash of the template as it is now, None without a summary.
        idempotency_key: The client's own word for which requests are the same; the content decides without it.
    """

    flow: str
    owner: str
    file: Path
    name: str
    sha256: str
    options: JobOptions
    template_sha256: str | None = None
    idempotency_key: str | None = None

    @property
    def identity(self) -> str:
        """What equal submissions have in common, 32 hex digits; the name of the file does not count.

        A changed template makes another job, unless the client says that the request is the same.
        """
        template = None if self.idempotency_key else self.template_sha256
        return content_hash([self.flow, self.owner, self.sha256, self.options, template, self.idempotency_key])[:32]

    @property
    def upload(self) -> str:
        """Store key of the input."""
        return f"{UPLOADS}/{self.identity}/{self.name}"

    @property
    def run_key(self) -> str:
        """Prefect's idempotency key of the first run."""
        if self.idempotency_key is None:
            return f"upload-{self.identity}"
        return _asked_key(self.owner, self.idempotency_key)


def _asked_key(owner: str, idempotency_key: str) -> str:
    return f"asked-{content_hash([owner, idempotency_key])[:32]}"


async def take_recording(
    request: Request[Any, Any, Any],
    prefect: PrefectClient,
    files: Files,
    key: ApiKey,
    quotas: Quotas,
    admission: Admission,
    read: Callable[[Form], tuple[T, Callable[[], JobOptions]]],
) -> tuple[JobRun, T]:
    """The run of a request whose form holds a recording, and what `read` made of the other fields.

    Args:
        request: The request.
        prefect, files, quotas, admission: Of the gateway.
        key: Whose job it is.
        read: Reads the fields; returns whatever it likes, and what gives the job's options.

    Raises:
        QueueFull: before the upload, or after it when others were faster.
        LimitReached: the key's quota is used up.
        BadInput, TooLarge, UnsupportedFormat, StoreFailed: as `receive_upload` and `submit`.
    """
    flow, idempotency_key = "process-audio", idempotency_key_of(request)
    async with (
        admission.place(key.key_id, partial(is_known, prefect, flow, key.key_id, idempotency_key)) as place,
        quotas.upload(key, announced_bytes(request)) as count,
        receive_upload(request, files, count) as upload,
    ):
        asked, options_of = read(upload.fields)
        options, template_sha256 = await in_thread(settled, options_of)
        job = Submission(
            flow=flow,
            owner=key.key_id,
            file=upload.path,
            name=upload.name,
            sha256=upload.sha256,
            options=options,
            template_sha256=template_sha256,
            idempotency_key=idempotency_key,
        )
        return await submit(prefect, files, admission, place, job), asked


def idempotency_key_of(request: Request[Any, Any, Any]) -> str | None:
    """The header Idempotency-Key, None without one. Raises `BadInput`."""
    given = request.headers.getall(IDEMPOTENCY_KEY, [])
    if not given:
        return None
    key = given[0].strip()
    if len(given) > 1 or not 0 < len(key) <= MAX_KEY_CHARS or not key.isprintable():
        raise BadInput(
            f"{IDEMPOTENCY_KEY} must be one value of 1 to {MAX_KEY_CHARS} printable characters",
            fix="use a UUID",
            field=IDEMPOTENCY_KEY,
        )
    return key


async def is_known(prefect: PrefectClient, flow: str, owner: str, idempotency_key: str | None) -> bool:
    """Whether a request came with this key before: its job has its place, so a repeat needs none."""
    return idempotency_key is not None and await find_run(prefect, flow, _asked_key(owner, idempotency_key)) is not None


def settled(options_of: Callable[[], JobOptions]) -> tuple[JobOptions, str | None]:
    """The options and the hash of the template they name. Reads the store."""
    options = options_of()
    return options, template_asked_for(options)


async def submit(prefect: PrefectClient, files: Files, admission: Admission, place: Place, job: Submission) -> JobRun:
    """The run of a submission: a new one, or that of an equal submission which waits, runs or is complete.

    Raises:
        QueueFull: other gateways have filled the queue, and there is no such run.
        KeyReused: the idempotency key came with another request before.
        StoreFailed: the upload cannot be kept.
    """
    try:
        await admission.check()
    except QueueFull:
        if not await _is_repeat(prefect, files, job):
            raise
    await in_thread(files.put_file, job.upload, job.file)
    run = await _run(prefect, place, job, job.run_key)
    if job.idempotency_key is None:
        run = await _anew(prefect, files, place, job, run)
    if run.upload != job.upload or run.status == "COMPLETE":
        await in_thread(files.delete, job.upload)  # the run has its own, or needs none any more
    if job.idempotency_key is not None and not (run.upload or "").startswith(f"{UPLOADS}/{job.identity}/"):
        raise KeyReused(
            "this Idempotency-Key belongs to another request",
            fix="use a new key for a new file or other options",
            task_id=str(run.run_id),
        )
    return run


async def _is_repeat(prefect: PrefectClient, files: Files, job: Submission) -> bool:
    """Whether `submit` would find a run."""
    run = await find_run(prefect, job.flow, job.run_key)
    if run is None or job.idempotency_key is not None or not await _spent(files, run):
        return run is not None
    run = await find_run(prefect, job.flow, f"{job.run_key}-{await _tries(prefect, job.run_key, 1)}")
    return run is not None and not await _spent(files, run)


async def _anew(prefect: PrefectClient, files: Files, place: Place, job: Submission, run: JobRun) -> JobRun:
    """Another run when the one there can give no whole result; the n-th try is the n-th for everybody."""
    tried = 0
    while await _spent(files, run):
        tried = await _tries(prefect, job.run_key, tried + 1)
        run = await _run(prefect, place, job, f"{job.run_key}-{tried}")
    return run


async def _spent(files: Files, run: JobRun) -> bool:
    """Whether another run may give more: this one failed, its result has expired, or parts of that are missing."""
    if run.status == "FAILED" or run.cancelling:
        return True
    if run.status != "COMPLETE" or run.job_id is None:
        return False
    try:
        result = await in_thread(read_result, files, run.job_id)
    except Unsupported:  # another version of C500 wrote it
        return True
    return result is None or result.status == "partial"


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
    run, is_new = await submit_run(
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
    if is_new:
        place.taken = True
        SUBMITTED.labels(job.flow).inc()
    return run
