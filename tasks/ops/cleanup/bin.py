"""What went and can be had back: a copy of the tree's folders in `.trash`, into which files are moved.

A batch is a folder `<when>.<tree>.<run>`; where a file was is where it lies in it, so nothing needs to be written down,
not even on a full disk. A folder `going.…` holds what is being deleted: a file is looked at once more when nobody else
reaches it any more.
"""

import os
import re
import shutil
import stat
from contextlib import suppress
from datetime import UTC, datetime
from errno import EEXIST
from pathlib import Path

from blocks.errors import BadInput, NotAllowed, NotFound
from blocks.model import Frozen
from tasks.ops.cleanup.calls import look, move_new
from tasks.ops.cleanup.scan import FOLDER, TRASH, Scan, open_folder

STAMP = "%Y%m%dT%H%M%SZ"
BATCH = re.compile(r"(\d{8}T\d{6}Z)\.([a-z][a-z0-9-]*)\.([a-z0-9][a-z0-9-]*)")
GOING = "going."
PART = ".c500-gz."
"""Begins the names of files that are being compressed."""


class Batch(Frozen):
    """What one cleanup put into the trash.

    Attributes:
        batch_id: Names it.
        root: The folder that was cleaned.
        tree: Name of its rules.
        at: When.
        files: How many files it has.
        size_bytes: What they take on the disk.
    """

    batch_id: str
    root: str
    tree: str
    at: datetime
    files: int
    size_bytes: int


class Restored(Frozen):
    """What was had back.

    Attributes:
        files: How many files are where they were.
        taken: Paths whose place is taken; they are in the trash still.
    """

    files: int
    taken: tuple[str, ...] = ()


class Bin:
    """A folder within the trash of a tree, made when something is put into it.

    Args:
        root: The tree's root.
        name: Of the folder.
    """

    def __init__(self, root: Path, name: str) -> None:
        self._root, self._name = root, name
        self._handle: int | None = None
        self._made: list[tuple[str, ...]] = []

    def folder(self, parts: tuple[str, ...]) -> int:
        """Open the folder that stands for one of the tree. Raises `OSError`, `NotAllowed`."""
        if self._handle is None:
            self._handle = self._open()
        handle = os.dup(self._handle)
        for number, part in enumerate(parts, 1):
            try:
                with suppress(FileExistsError):
                    os.mkdir(part, 0o700, dir_fd=handle)
                    self._made.append(parts[:number])
                inner = os.open(part, FOLDER, dir_fd=handle)
            finally:
                os.close(handle)
            handle = inner
        return handle

    def close(self) -> None:
        """Remove the folders that are empty again."""
        if self._handle is None:
            return
        for parts in reversed(self._made):
            with suppress(OSError):
                os.rmdir("/".join(parts), dir_fd=self._handle)
        os.close(self._handle)
        self._handle = None
        with suppress(OSError):
            (self._root / TRASH / self._name).rmdir()

    def _open(self) -> int:
        trash = open_trash(self._root, make=True)
        try:
            with suppress(FileExistsError):
                os.mkdir(self._name, 0o700, dir_fd=trash)
            return os.open(self._name, FOLDER, dir_fd=trash)
        finally:
            os.close(trash)


def open_trash(root: Path, *, make: bool = False) -> int:
    """Open the trash of a tree.

    Raises:
        FileNotFoundError: there is none.
        NotAllowed: it is a link, or others may write into it.
    """
    above = open_folder(root, ())
    try:
        if make:
            with suppress(FileExistsError):
                os.mkdir(TRASH, 0o700, dir_fd=above)
        facts = look(TRASH, above)
        own = stat.S_ISDIR(facts.mode) and facts.uid == os.geteuid() and not facts.mode & 0o022
        if not own or facts.mount != look("", above).mount:
            raise NotAllowed(
                f"{root / TRASH} is a link, a mount, or a folder that others may write to",
                fix="move it away; it is made again",
                path=str(root / TRASH),
            )
        return os.open(TRASH, FOLDER, dir_fd=above)
    finally:
        os.close(above)


def batch_name(root: Path, tree: str, run_id: str, at: datetime) -> str:
    """The batch of a run; that of an earlier attempt where there is one."""
    for name in _names(root):
        if name.endswith(f".{tree}.{run_id}") and BATCH.fullmatch(name):
            return name
    return f"{at:{STAMP}}.{tree}.{run_id}"


def recover(root: Path, at: datetime) -> int:
    """Put back what a killed run was about to delete: nobody knows whether it had looked. How many files that were.

    What has no place any more goes into the trash. Call it only while no other cleanup of the root is at work.
    """
    back = 0
    for name in [one for one in _names(root) if one.startswith(GOING)]:
        moved, taken = _move_back(root, name, None)
        back += moved
        if taken:
            number = re.sub(r"[^a-z0-9-]", "-", name.removeprefix(GOING))
            (root / TRASH / name).rename(root / TRASH / f"{at:{STAMP}}.recovered.{number}")
    return back


def batches(root: Path) -> tuple[Batch, ...]:
    """What is in the trash of a tree, newest first."""
    found: list[Batch] = []
    for name in _names(root):
        if matched := BATCH.fullmatch(name):
            files = [file for one in Scan(root / TRASH / name).folders() for file in one.files]
            batch = Batch(
                batch_id=name,
                root=str(root),
                tree=matched[2],
                at=datetime.strptime(matched[1], STAMP).replace(tzinfo=UTC),
                files=len(files),
                size_bytes=sum(file.facts.used_bytes for file in files if file.facts.nlink == 1),
            )
            found.append(batch)
    return tuple(sorted(found, key=lambda one: one.batch_id, reverse=True))


def purge(root: Path, batch: Batch) -> None:
    """Delete a batch for good; what a killed purge left is one still. Raises `OSError`, `NotAllowed`."""
    trash = open_trash(root)
    try:
        shutil.rmtree(batch.batch_id, dir_fd=trash)
    finally:
        os.close(trash)


def restore(root: Path, batch_id: str, path: str | None = None) -> Restored:
    """Put files back where they were; nothing is overwritten.

    Args:
        root: Of the tree.
        batch_id: The batch.
        path: Only this file, from the root on; None for all.

    Raises:
        BadInput: that is no id of a batch.
        NotFound: there is no such batch, or it has no such file.
        NotAllowed: the trash is not ours.
    """
    if not BATCH.fullmatch(batch_id):
        raise BadInput(f"{batch_id!r:.100} is no batch of the trash", fix="see `c500 clean trash`", field="batch_id")
    if batch_id not in _names(root):
        raise NotFound(f"the trash has no {batch_id}", fix="see `c500 clean trash`", field="batch_id")
    moved, taken = _move_back(root, batch_id, path)
    if path is not None and not moved and not taken:
        raise NotFound(f"the batch has no {path!r:.200}", fix="give its path from the root on", field="path")
    return Restored(files=moved, taken=tuple(taken))


def _move_back(root: Path, name: str, path: str | None) -> tuple[int, list[str]]:
    """Move files of a folder of the trash to where they were: how many, and whose place is taken."""
    os.close(open_trash(root))  # it is ours
    place = root / TRASH / name
    moved, taken = 0, list[str]()
    for folder in list(Scan(place).folders()):
        wanted = [file.name for file in folder.files if path is None or folder.path(file.name) == path]
        if not wanted:
            continue
        source = open_folder(place, folder.parts)
        try:
            for one in wanted:
                if one.startswith(PART) and name.startswith(GOING):
                    os.unlink(one, dir_fd=source)
                elif _move_one(root, folder.parts, one, source):
                    moved += 1
                else:
                    taken.append(folder.path(one))
        finally:
            os.close(source)
    for inner, _, _ in os.walk(place, topdown=False):
        with suppress(OSError):
            Path(inner).rmdir()
    return moved, taken


def _move_one(root: Path, parts: tuple[str, ...], name: str, source: int) -> bool:
    """Move a file to its place, whose folders are made again; False where that is taken."""
    target = open_folder(root, ())
    try:
        for part in parts:
            with suppress(FileExistsError):
                os.mkdir(part, dir_fd=target)
            inner = os.open(part, FOLDER, dir_fd=target)
            os.close(target)
            target = inner
        move_new(name, source, target)
    except NotADirectoryError:
        return False
    except OSError as error:
        if error.errno == EEXIST:
            return False
        raise
    finally:
        os.close(target)
    return True


def _names(root: Path) -> list[str]:
    try:
        handle = open_trash(root)
    except FileNotFoundError:
        return []
    try:
        return sorted(os.listdir(handle))  # noqa: PTH208 - of an open folder
    finally:
        os.close(handle)
