"""Whose audio may go: only that of jobs which are over, and which nobody works with."""

from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import (
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import StateType
from pydantic import ValidationError

from blocks.batch import BatchReport
from blocks.errors import NotFound
from blocks.model import Frozen
from blocks.progress import in_thread
from blocks.runs.queue import all_runs
from blocks.runs.record import JOB_ID, PROCESS_FLOWS, label
from blocks.store.files import Files
from tasks.ops.cleanup.choose import Hold
from tasks.ops.cleanup.rules import AUDIO, Retention, Tree
from tasks.ops.cleanup.scan import File, Folder
from tasks.ops.cleanup.tree import MakeHold

JOBS = "jobs"
RESULT = "result.json"
TEXT = "source.txt"
"""The source of a text job, which is no audio."""

ENDED = (StateType.FAILED, StateType.CANCELLED)
OPEN = (
    StateType.SCHEDULED,
    StateType.PENDING,
    StateType.RUNNING,
    StateType.PAUSED,
    StateType.CANCELLING,
    StateType.CRASHED,
)
"""A crashed run is run again, or made to fail."""


class JobsKnown(Frozen):
    """What Prefect's server knows of jobs.

    Attributes:
        open: Ids of jobs of which a run is not over.
        failed: Ids of jobs of which a run failed or was cancelled, or that failed in a batch.
    """

    open: frozenset[str]
    failed: frozenset[str]


def audio_tree(root: Path, retention: Retention) -> Tree:
    """The rules for audio of jobs in a store of this machine."""
    kept = retention.model_copy(update={"protected": (*retention.protected, TEXT)})
    return Tree(name="audio", root=root, below=JOBS, patterns=AUDIO, retention=kept)


async def jobs_known(client: PrefectClient, files: Files) -> JobsKnown:
    """Ask Prefect's server, and the reports of batches, whose runs do not say which jobs they are at."""
    failed = await _jobs(client, ENDED) | await in_thread(_failed_in_batches, files)
    return JobsKnown(open=await _jobs(client, OPEN), failed=failed)


def audio_hold(known: JobsKnown, young_ns: int, held: Collection[str] = ()) -> MakeHold:
    """Keeps the audio of jobs that are not over.

    A job is over when its result is there, or a run of it failed, and no run of it is open. Runs of batches do not say
    which jobs they are at, and a job may work with the audio that another job of the same recording has decoded: so
    audio stays as well where a recording of the same length in bytes came in lately, or belongs to a job that is not
    over.

    Args:
        known: What Prefect's server knows.
        young_ns: What was written since then came in lately; nanoseconds since 1970.
        held: Ids of jobs on legal hold.
    """

    def make(folders: list[Folder]) -> Hold:
        jobs = {one.parts[1]: _seen(one) for one in folders if len(one.parts) == 2}
        over = {job_id for job_id, seen in jobs.items() if _is_over(job_id, seen, known)}
        busy = {
            seen.length
            for job_id, seen in jobs.items()
            if seen.length is not None and (seen.source_ns > young_ns or job_id not in over)
        }

        def hold(folder: Folder, file: File) -> str | None:
            if len(folder.parts) != 2:
                return "no job"
            if folder.parts[1] in held:
                return "held"
            return _why_kept(folder.parts[1], jobs[folder.parts[1]], known, over, busy)

        return hold

    return make


@dataclass(frozen=True)
class _Seen:
    """A job as its folder shows it: whether it has a result, and its recording's length and time."""

    has_result: bool
    length: int | None
    source_ns: int


def _seen(folder: Folder) -> _Seen:
    sources = [file.facts for file in folder.files if file.name == "source" or file.name.startswith("source.")]
    return _Seen(
        has_result=any(file.name == RESULT for file in folder.files),
        length=sources[0].size_bytes if sources else None,
        source_ns=max((one.mtime_ns for one in sources), default=0),
    )


def _is_over(job_id: str, seen: _Seen, known: JobsKnown) -> bool:
    return job_id not in known.open and (seen.has_result or job_id in known.failed)


def _why_kept(job_id: str, seen: _Seen, known: JobsKnown, over: Collection[str], busy: Collection[int]) -> str | None:
    if job_id in known.open:
        return "job at work"
    if job_id not in over:
        return "job unknown"
    return "recording in use" if seen.length in busy else None


def _failed_in_batches(files: Files) -> frozenset[str]:
    found: set[str] = set()
    for key in files.list("batches/"):
        if key.endswith("/report.json"):
            with suppress(ValidationError, NotFound):  # of another version, or gone meanwhile
                report = BatchReport.model_validate_json(files.read_bytes(key))
                found |= {item.job_id for item in report.items if item.job_id and item.outcome == "failed"}
    return frozenset(found)


async def _jobs(client: PrefectClient, states: tuple[StateType, ...]) -> frozenset[str]:
    wanted = FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=list(states))))
    flows = FlowFilter(name=FlowFilterName(any_=list(PROCESS_FLOWS)))
    found = [label(run, JOB_ID) async for run in all_runs(client, wanted, flows)]
    return frozenset(one for one in found if one)
