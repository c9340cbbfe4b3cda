"""Uploads that nobody needs any more."""

from collections.abc import Collection
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import structlog
from prefect import task
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.objects import StateType

from blocks.errors import NotFound
from blocks.progress import in_thread
from blocks.runs.queue import job_runs
from blocks.runs.record import UPLOAD, label
from blocks.settings import settings
from blocks.store import open_store

log = structlog.stdlib.get_logger("c500")

UPLOADS = "uploads/"

ORPHAN_AGE = timedelta(hours=1)
"""An upload that no run needs is kept this long: its run may just be about to be submitted. Equal submissions share
a folder, so a run that is done says nothing about an upload that has just come again."""

UNFINISHED = (
    StateType.SCHEDULED,
    StateType.PENDING,
    StateType.RUNNING,
    StateType.PAUSED,
    StateType.CANCELLING,
    StateType.CRASHED,
)


@task(name="sweep-uploads")
async def sweep_uploads_step() -> list[str]:
    """Remove uploads older than an hour that no run needs: it is done, or there is none; returns the keys removed.

    The upload of a failed run is kept for RESULT_TTL: somebody may mend the cause and retry it. One on hold stays;
    where it is not known what is held, `StoreFailed` is raised and all stay.
    """
    # Listed first: whatever run is submitted while we look, its upload is not on this list or is found needed.
    written = await in_thread(_uploads)
    if not written:
        return []
    async with get_client() as client:
        needed = await _folders(client, UNFINISHED)
        needed |= await _folders(client, (StateType.FAILED,), timedelta(seconds=settings().result_ttl))
    needed |= {f"{UPLOADS}{name}" for name in await in_thread(_held)}
    removable = [key for key, at in written.items() if is_removable(key, at, needed, datetime.now(UTC))]
    removed = await in_thread(_remove, removable)
    log.info("uploads swept", kept=len(written) - len(removed), removed=len(removed))
    return removed


def is_removable(key: str, written_at: datetime, needed: Collection[str], now: datetime) -> bool:
    """Whether an upload can go.

    Args:
        key: Of the uploaded file.
        written_at: When it was written.
        needed: Folders of uploads whose runs are not done.
        now: The time.
    """
    return folder_of(key) not in needed and now - written_at > ORPHAN_AGE


def folder_of(key: str) -> str:
    """The folder of one upload: `uploads/<id>`."""
    return "/".join(key.split("/")[:2])


def _held() -> frozenset[str]:
    from blocks.subjects.held import ids_held

    return ids_held(open_store())


def _uploads() -> dict[str, datetime]:
    """When each uploaded file was written."""
    files = open_store()
    written: dict[str, datetime] = {}
    for key in files.list(UPLOADS):
        with suppress(NotFound):  # it may go while we look
            written[key] = files.modified(key)
    return written


def _remove(keys: list[str]) -> list[str]:
    """Remove uploads unless they came again while we looked; returns those that are gone."""
    files = open_store()
    removed: list[str] = []
    for key in keys:
        with suppress(NotFound):
            if datetime.now(UTC) - files.modified(key) > ORPHAN_AGE:
                files.delete(key)
                removed.append(key)
    return removed


async def _folders(client: PrefectClient, states: tuple[StateType, ...], within: timedelta | None = None) -> set[str]:
    """Folders of the uploads of runs in these states, or only of those that ended of late."""
    ended_after = None if within is None else datetime.now(UTC) - within
    keys = [label(run, UPLOAD) async for run in job_runs(client, states, ended_after)]
    return {folder_of(key) for key in keys if key}
