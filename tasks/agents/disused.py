"""What runs of agents left behind and nobody needs any more, taken away: folders of retired runs, old workspaces."""

import os
import shutil
import stat
from collections.abc import Collection, Generator, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path

from blocks.errors import C500Error, NotAllowed
from blocks.model import Frozen
from blocks.store.files import Files
from blocks.trash import Trash
from blocks.workspace import Workspace
from blocks.workspace.walk import folder, told
from tasks.agents.given import WORKSPACES
from tasks.agents.retired import open_ids, retired, retired_ids

OF_RUNS = ("results", "runs")
"""Folders of AGENTS_HOME with a folder for each run: results of its steps, and what was decided in it."""

TRASH = "trash"


class Gone(Frozen):
    """What was taken away.

    Attributes:
        count: How many things.
        size_bytes: What they took.
        troubles: What could not be done, and why; the rest was.
    """

    count: int = 0
    size_bytes: int = 0
    troubles: tuple[str, ...] = ()

    def __add__(self, other: "Gone") -> "Gone":
        return Gone(
            count=self.count + other.count,
            size_bytes=self.size_bytes + other.size_bytes,
            troubles=(*self.troubles, *other.troubles),
        )


def trouble(error: C500Error | OSError) -> Gone:
    """Nothing was taken away, and why."""
    text = f"{error.message} ({error.fix})" if isinstance(error, C500Error) else f"{type(error).__name__}: {error}"
    return Gone(troubles=(text,))


def own_folder(home: Path, name: str) -> Path | None:
    """A folder of AGENTS_HOME; None where there is none.

    Raises:
        NotAllowed: it is a link, or no folder: what lies there is not ours to take away.
    """
    path = home / name
    try:
        found = path.lstat()
    except FileNotFoundError:
        return None
    if not stat.S_ISDIR(found.st_mode):
        raise NotAllowed(f"{path} is a link, or no folder", fix="put a folder there", path=str(path))
    return path


def remove_folders(home: Path, files: Files, name: str, held: Collection[str] = ()) -> Gone:
    """Remove the folders of retired runs.

    Args:
        home: AGENTS_HOME, its real path.
        files: The store, which knows the runs.
        name: One of `OF_RUNS`.
        held: Runs on legal hold, whose folders stay.

    Raises:
        NotAllowed: a link lies in the place of the folder of them all.
    """
    if own_folder(home, name) is None:
        return Gone()
    over, gone = retired_ids(files).difference(held), Gone()
    with _opened(home, name) as handle:
        for run_id in sorted(over.intersection(os.listdir(handle))):  # noqa: PTH208 - of an open folder
            try:
                with told(f"{name}/{run_id}"):
                    gone += Gone(count=1, size_bytes=_removed(run_id, handle))
            except C500Error as error:
                gone += trouble(error)
    return gone


def discard_workspaces(
    home: Path, files: Files, ended_s: float, begun_s: float, now: datetime, held: Collection[str] = ()
) -> Gone:
    """Move the workspaces of runs that ended longer ago into the trash; empty ones are removed.

    Left alone are those of conversations, those that a run which is not retired works in, and what no run or team has
    as its own workspace.

    Args:
        home: AGENTS_HOME, its real path.
        files: The store, which knows the runs.
        ended_s: Seconds since the end.
        begun_s: Seconds since the beginning after which a team's run is over that never ended.
        now: The time.
        held: Runs on legal hold, whose workspaces stay.

    Raises:
        NotAllowed: a link lies in the place of the folder of them all.
    """
    root = own_folder(home, WORKSPACES)
    if root is None:
        return Gone()
    gone, due = Gone(), list[str]()
    for name in sorted(path.name for path in root.iterdir() if path.is_dir() and not path.is_symlink()):
        try:
            due += [name] if name not in held and _is_over(files, root / name, now, ended_s, begun_s) else []
        except C500Error as error:
            gone += trouble(error)
    if not due:
        return gone
    own_folder(home, TRASH)
    used, workspace, trash = _used(files), Workspace(root), Trash(home / TRASH)
    for name in due:
        if not _overlaps(root / name, used):
            try:
                with files.lock(f"agents/team/{name}", wait=False) as alone:
                    gone += _discarded(workspace, name, trash) if alone else Gone()
            except C500Error as error:
                gone += trouble(error)
    return gone


def _discarded(workspace: Workspace, name: str, trash: Trash) -> Gone:
    with suppress(OSError):  # there is something in it
        (workspace.root / name).rmdir()
        return Gone(count=1)
    return Gone(count=1, size_bytes=trash.put(workspace, name).size_bytes)


def _is_over(files: Files, path: Path, now: datetime, ended_s: float, begun_s: float) -> bool:
    """Whether it is the own workspace of a run, or of a team's run, that ended longer ago. Raises `StoreFailed`."""
    from tasks.agents.runs import SESSIONS, RunStore
    from tasks.agents.team.team_store import TeamStore

    name, before = path.name, now - timedelta(seconds=ended_s)
    if files.exists(f"{SESSIONS}/{name}.json"):
        return False
    if (mark := retired(files, name)) is not None:
        begun, result = RunStore(files).begun(name), RunStore(files).result(name)
        if begun is None or begun.session is not None or not _same(begun.workspace, path):
            return False
        return (result.ended_at if result else mark.at) < before
    team = TeamStore(files, name)
    if (its := team.begun()) is None or not _same(its.workspace, path):
        return False
    ended = team.result()
    return (ended.ended_at if ended else its.started_at + timedelta(seconds=begun_s)) < before


def _used(files: Files) -> set[Path]:
    """The folders that runs work in which may go on."""
    from tasks.agents.runs import RunStore

    store, used = RunStore(files), set[Path]()
    for run_id in open_ids(files):
        with suppress(C500Error):
            if (begun := store.begun(run_id)) is not None:
                used.add(Path(begun.workspace).resolve())
    return used


def _overlaps(path: Path, used: set[Path]) -> bool:
    """Whether a folder is one of these, lies in one, or one lies in it."""
    return not used.isdisjoint({path, *path.parents}) or any(one.is_relative_to(path) for one in used)


def _same(named: str, path: Path) -> bool:
    return Path(named).resolve() == path


@contextmanager
def _opened(home: Path, name: str) -> Generator[int]:
    """A folder below AGENTS_HOME, opened without following a link."""
    with told(name), folder(home, (name,)) as place:
        handle = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=place)
        try:
            yield handle
        finally:
            os.close(handle)


def _removed(name: str, above: int) -> int:
    """Remove a folder with all in it; how many bytes that took.

    Raises:
        NotAllowed: it is a link or no folder.
        OSError: it cannot be removed; the next sweep goes on.
    """
    if not stat.S_ISDIR(os.stat(name, dir_fd=above, follow_symlinks=False).st_mode):
        raise NotAllowed(f"{name} is a link, or no folder", fix="look what it is, and remove it", path=name)
    size_bytes = sum(_sizes(name, above))
    shutil.rmtree(name, dir_fd=above)
    return size_bytes


def _sizes(name: str, above: int) -> Iterator[int]:
    for _, _, names, handle in os.fwalk(name, dir_fd=above, follow_symlinks=False):
        for one in names:
            with suppress(FileNotFoundError):
                yield os.stat(one, dir_fd=handle, follow_symlinks=False).st_size
