"""The stored results of a period, read one after another."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TypeVar

from pydantic import ValidationError

from blocks.errors import BadInput, NotFound
from blocks.job import JobResult, job_folder
from blocks.model import Frozen
from blocks.plain_text import plain
from blocks.store.files import Files
from blocks.store.local import LocalFiles
from blocks.transcript import Transcript

JOBS = "jobs/"
RESULT = "result.json"
"""Presence of it means that the job is complete."""

TRANSCRIPT = "transcript.json"

CLOCKS = timedelta(hours=1)
"""A result is written the moment it is finished; the clocks of the store and of the machine may differ by this."""

AT_ONCE = 16
"""Reads at once, of a store behind a network, which answers each in milliseconds, whatever their number."""

AHEAD = 64
"""Jobs read ahead of the one in hand, of such a store."""


class Unreadable(Frozen):
    """A file of a job that cannot be read as what its name says.

    Attributes:
        key: Its name in the store.
        why: One line.
    """

    key: str
    why: str


Item = TypeVar("Item")
Made = TypeVar("Made")

OnUnreadable = Callable[[Unreadable], None]


@dataclass(frozen=True, slots=True)
class StoredResult:
    """A finished job as the store has it.

    Attributes:
        job_id: Its id.
        finished_at: When it was finished, in UTC.
        result: What came of it.
        files: The store it lies in.
    """

    job_id: str
    finished_at: datetime
    result: JobResult
    files: Files

    def transcript(self) -> Transcript | Unreadable:
        """The transcript, read now; or why it cannot be."""
        key = f"{job_folder(self.job_id)}/{TRANSCRIPT}"
        try:
            return Transcript.model_validate_json(self.files.read_bytes(key))
        except (NotFound, ValidationError) as error:
            return why_unreadable(key, error)


def stored_results(
    files: Files, since: datetime, until: datetime, *, on_unreadable: OnUnreadable, keys: Iterable[str] | None = None
) -> Iterator[StoredResult]:
    """The results of jobs that were finished in a period, by job id.

    A result last written before the period is not read. One that cannot be read is told, whatever its period, as it
    does not say when it was finished.

    Args:
        files: The store.
        since: Begin of the period, with its time zone.
        until: Its end, which is no part of it.
        on_unreadable: Told of each file that is damaged, of another version, or in the wrong folder.
        keys: All names below `jobs/`, where they are known already: to list them takes as long as to read a third.

    Raises:
        StoreFailed: the store cannot be read.
    """
    listed = files.list(JOBS) if keys is None else keys
    results = (key for key in listed if key.endswith(f"/{RESULT}") and key.count("/") == 2)

    def read(key: str) -> StoredResult | Unreadable | None:
        return read_result(files, key, since)

    for found in each_in_order(files, read, results):
        if isinstance(found, Unreadable):
            on_unreadable(found)
        elif found is not None and since <= found.finished_at < until:
            yield found


def each_in_order(files: Files, read: Callable[[Item], Made], items: Iterable[Item]) -> Iterator[Made]:
    """What reading each item gives, in their order; many at once where the store is behind a network.

    On a disk of this machine threads would only wait for each other: 1.6 times the processor's time, measured.
    """
    if isinstance(files, LocalFiles):
        yield from map(read, items)
        return
    rest = iter(items)
    with ThreadPoolExecutor(max_workers=AT_ONCE) as readers:
        while some := list(islice(rest, AHEAD)):
            yield from readers.map(read, some)


def read_result(files: Files, key: str, since: datetime) -> StoredResult | Unreadable | None:
    """One result; None when it was written before the period, or has gone meanwhile.

    Args:
        files: The store.
        key: `jobs/<job_id>/result.json`.
        since: Begin of the period.
    """
    try:
        if files.modified(key) < since - CLOCKS:
            return None
        result = JobResult.model_validate_json(files.read_bytes(key))
    except NotFound:
        return None
    except (BadInput, UnicodeError):  # a folder that somebody put there: no store takes such a name
        return Unreadable(key=plain(key), why="its name is none that a store gives")
    except ValidationError as error:
        return why_unreadable(key, error)
    if key != f"{job_folder(result.job_id)}/{RESULT}":
        return Unreadable(key=key, why=f"it is the result of job {result.job_id}")
    finished_at = result.finished_at
    aware = finished_at.replace(tzinfo=UTC) if finished_at.tzinfo is None else finished_at.astimezone(UTC)
    return StoredResult(job_id=result.job_id, finished_at=aware, result=result, files=files)


def why_unreadable(key: str, error: NotFound | ValidationError) -> Unreadable:
    """What to tell of a file, without its content, which may be anybody's words."""
    if isinstance(error, NotFound):
        return Unreadable(key=key, why="it is not there")
    fault = error.errors(include_input=False, include_url=False, include_context=False)[0]
    place = ".".join(str(part) for part in fault["loc"])
    return Unreadable(key=key, why=f"{place}: {fault['msg']}" if place else fault["msg"])
