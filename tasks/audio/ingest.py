"""Bring a recording into the store and give it its job."""

from pathlib import Path, PurePosixPath

from prefect import task

from blocks import timeline
from blocks.audio import AudioInfo
from blocks.errors import BadInput
from blocks.job import Job, JobPlan
from blocks.progress import in_thread
from blocks.settings import settings
from blocks.steps import WHERE_WORTH_RETRYING
from blocks.store import open_store
from blocks.store.files import FileRef
from tasks.audio.fetch import fetch
from tasks.audio.probe import probe

BYTES_PER_MB = 1_000_000


@task(name="ingest", **WHERE_WORTH_RETRYING)
async def ingest_step(source: str, plan: JobPlan) -> tuple[Job, AudioInfo]:
    """Copy the recording to `jobs/<job_id>/source.*` if it is one; says what it is.

    Not cached, since what lies at an address may change.

    Args:
        source: Path, `file://`, `http(s)://` or `s3://` address.
        plan: What will be done with it.

    Raises:
        NotFound, BadInput, NotAllowed, TooLarge, BadAudio: see `fetch` and `probe`; nothing is kept then.
    """
    files = open_store()
    limits = settings()
    with timeline.measure("ingest"), files.scratch("source") as path:
        fetched = await fetch(
            source,
            path,
            max_bytes=int(limits.max_file_size_mb * BYTES_PER_MB),
            allow_private=limits.allow_private_sources,
        )
        info = await in_thread(_probe_named, path, fetched.name, limits.max_duration_s)
        job = Job(
            job_id=plan.job_id(fetched.sha256),
            source=FileRef(key="pending", sha256=fetched.sha256, size_bytes=fetched.size_bytes),
            source_name=fetched.name,
            plan=plan,
        )
        key = f"{job.folder}/source{_suffix(fetched.name)}"
        stored = await in_thread(files.put_file, key, path, info.media_type)
    return job.model_copy(update={"source": stored}), info


def _probe_named(path: Path, name: str, max_duration_s: float) -> AudioInfo:
    """Probe a scratch file; an error names the recording as the user knows it."""
    try:
        return probe(path, max_duration_s=max_duration_s)
    except BadInput as error:
        raise type(error)(f"{name}: {error.message}", fix=error.fix, **error.details) from error


def _suffix(name: str) -> str:
    """The ending of the name when it is a plain short one: it helps people, nothing else relies on it."""
    suffix = PurePosixPath(name).suffix.lower()
    return suffix if suffix[1:].isascii() and suffix[1:].isalnum() and len(suffix) <= 6 else ""
