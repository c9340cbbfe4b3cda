"""Runs that cannot be gone on with any more: what they were kept for may be forgotten from then on."""

from collections.abc import Callable, Collection, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import AwareDatetime, ValidationError

from blocks.errors import C500Error, Conflict, NotFound, StoreFailed
from blocks.model import Frozen
from blocks.store.files import Files

if TYPE_CHECKING:
    from tasks.agents.runs import RunStore

RUNS = "agents/runs"
"""As in `tasks.agents.runs`, which takes a second to import."""

MARK = "retired.json"

WAITS = "HANDED_OFF"
"""Code of the trouble of a run that ended so that a person does something; then it goes on."""


class Retired(Frozen):
    """That a run is over for good.

    Attributes:
        at: Since when.
    """

    at: AwareDatetime


def retired(files: Files, run_id: str) -> Retired | None:
    """Since when a run cannot be gone on with; None while it can. Raises `StoreFailed`."""
    try:
        return Retired.model_validate_json(files.read_bytes(_mark(run_id)))
    except NotFound:
        return None
    except ValidationError:
        raise StoreFailed(
            f"the note that run {run_id} is over is damaged", fix=f"remove {files.uri(_mark(run_id))}"
        ) from None


def refuse_retired(files: Files, run_id: str) -> None:
    """Refuse to go on with a run whose effects may be forgotten: they would be had a second time.

    Raises:
        Conflict: it is over for good.
    """
    if (found := retired(files, run_id)) is not None:
        raise Conflict(
            f"run {run_id} cannot be gone on with: what it had done was forgotten on {found.at:%Y-%m-%d}",
            fix="begin a new run",
            run_id=run_id,
        )


def retired_ids(files: Files) -> set[str]:
    """The ids of all runs that are over for good."""
    return {key.split("/")[2] for key in files.list(f"{RUNS}/") if key.endswith(f"/{MARK}")}


def open_ids(files: Files) -> list[str]:
    """The ids of all others, sorted."""
    every = {key.split("/")[2] for key in files.list(f"{RUNS}/")}
    return sorted(every - retired_ids(files))


def retire(
    files: Files, home: Path, ended_s: float, begun_s: float, now: datetime, held: Collection[str] = ()
) -> Iterator[str | C500Error]:
    """Retire the runs that are old enough; those that a process is at, or was lately, are left alone.

    Args:
        files: The store.
        home: AGENTS_HOME, where runs leave signs of life.
        ended_s: Seconds since its end, and since its last sign of life, after which a run is.
        begun_s: Seconds since its beginning after which one is that never ended, or waits for a person.
        now: The time.
        held: Runs on legal hold, which are not retired.

    Yields:
        The id of each that was retired, or why one could not be looked at.
    """
    from tasks.agents.runs import RunStore

    store, lately = RunStore(files), now - timedelta(seconds=ended_s)

    def is_old(run_id: str) -> bool:
        return _ended_before(store, run_id, lately, now - timedelta(seconds=begun_s)) and not _lived(
            home, run_id, lately
        )

    for run_id in open_ids(files):
        try:
            if run_id not in held and is_old(run_id) and _retired(files, run_id, is_old, now):
                yield run_id
        except C500Error as error:
            yield error


def _retired(files: Files, run_id: str, is_old: Callable[[str], bool], now: datetime) -> bool:
    """Whether it could be retired: not when somebody goes on with it."""
    with files.lock(f"agents/run/{run_id}", wait=False) as alone:
        if not alone or not is_old(run_id):  # it may have gone on in between
            return False
        files.put_bytes(_mark(run_id), Retired(at=now).model_dump_json().encode())
        return True


def _ended_before(store: "RunStore", run_id: str, ended: datetime, begun: datetime) -> bool:
    result = store.result(run_id)
    if result is not None and not (result.trouble and result.trouble.code == WAITS):
        return result.ended_at < ended
    found = store.begun(run_id)
    return found is not None and found.started_at < begun


def _lived(home: Path, run_id: str, since: datetime) -> bool:
    """Whether an attempt of a run has written something since: one may go on after a limit, and then be stopped."""
    for folder in (home / "runs" / run_id, home / "results" / run_id):
        try:
            if datetime.fromtimestamp(folder.lstat().st_mtime, UTC) > since:
                return True
        except FileNotFoundError:
            continue
    return False


def _mark(run_id: str) -> str:
    return f"{RUNS}/{run_id}/{MARK}"
