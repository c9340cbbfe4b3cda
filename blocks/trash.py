"""Deleting that can be undone: what is deleted is moved, and its place is kept beside it."""

import fcntl
import os
import re
import secrets
import shutil
import stat
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from errno import EEXIST, EINVAL, ENOSYS, EXDEV
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from blocks.errors import BadInput, Conflict, NotAllowed, NotFound, StoreFailed, Unsupported
from blocks.model import Frozen
from blocks.whole_file import sync_folder, write_whole
from blocks.workspace import Workspace
from blocks.workspace.walk import folder, rename_new, sync, told

MANIFEST, CONTENT = "manifest.json", "content"
TRASH_ID = re.compile(r"[0-9a-f]{16}")
MOST_DEEP = 100


class Trashed(Frozen):
    """Something that was deleted.

    Attributes:
        trash_id: Names it.
        root: Real path of the workspace it was in.
        name: What it was called there; of a link its own name.
        kind: What it is; of a link only the link was moved.
        files: How many files it is, without folders.
        size_bytes: Of these together.
        at: When it was deleted.
    """

    trash_id: str
    root: str
    name: str
    kind: Literal["file", "folder", "link"]
    files: int
    size_bytes: int
    at: datetime


State = Literal["moving", "kept", "purging"]


class Manifest(Frozen):
    """What lies beside a deleted thing.

    Attributes:
        state: `moving` is written before the thing is moved here, `purging` before it is deleted for good: after a
            crash in between it is known what was going on. One that is `kept` and not here is where it was before.
        trashed: What it is.
    """

    state: State
    trashed: Trashed


class Trash:
    """Deleted files and folders, in a folder on the same file system.

    Several processes may use one. What one that died has left half done is put right when it is opened.

    Args:
        folder: Where; made when missing, for our user only. Agents must not reach it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder.expanduser().absolute()
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = self._folder.resolve()
        with self._alone():
            for path in self._entries():
                self._recover(path)

    def put(self, workspace: Workspace, name: str) -> Trashed:
        """Delete something. A link is deleted, and not what it leads to.

        Args:
            workspace: Where it is.
            name: What.

        Raises:
            NotFound: there is no such thing.
            BadInput: no file can have the name.
            NotAllowed: it lies outside, is protected, or holds a mount or a device.
            Unsupported: it lies on another file system than the trash.
            StoreFailed: it could not be moved; it is where it was.
        """
        own = workspace.own_path(name)
        if self._folder.is_relative_to(own):
            raise NotAllowed(f"{name!r:.200} holds the trash itself", fix="delete what is in it", path=name[:200])
        parts = own.relative_to(workspace.root).parts
        with told(name), folder(workspace.root, parts[:-1]) as above:
            trashed = self._described(own, workspace.root, os.stat(parts[-1], dir_fd=above, follow_symlinks=False))
            with self._alone():
                self._move_in(trashed, parts[-1], above)
        return trashed

    def restore(self, trash_id: str) -> Trashed:
        """Put something back where it was; folders that are gone are made again.

        Raises:
            NotFound: there is no such thing in the trash, or its workspace is gone.
            Conflict: its place is taken.
            StoreFailed: it could not be moved; it is in the trash still.
        """
        with self._alone():
            trashed = self._found(trash_id)
            *above, last = Path(trashed.name).parts
            with told(trashed.name), folder(Workspace(Path(trashed.root)).root, above, make=True) as place:
                self._move_out(trashed, last, place)
        return trashed

    def list(self) -> tuple[Trashed, ...]:
        """What is in the trash, newest first. Raises `StoreFailed` where its place cannot be read."""
        found: list[Trashed] = []
        for path in self._entries():
            with suppress(NotFound):  # restored or purged meanwhile, or not there yet
                manifest = self._read(path)
                found += [manifest.trashed] if manifest.state == "kept" and _there(path / CONTENT) else []
        return tuple(sorted(found, key=lambda one: one.at, reverse=True))

    def purge(self, older_than_s: float, keep: Callable[[Trashed], bool] = lambda _: False) -> tuple[Trashed, ...]:
        """Delete for good what has been here longer, oldest first.

        Args:
            older_than_s: Seconds.
            keep: Says what stays all the same.

        Returns:
            What is gone.

        Raises:
            StoreFailed, NotAllowed: something cannot be deleted, or was mounted in the trash; all else is gone.
        """
        before = datetime.now(UTC) - timedelta(seconds=older_than_s)
        gone: list[Trashed] = []
        failed: list[NotAllowed | StoreFailed] = []
        with self._alone():
            for trashed in (one for one in self._due(before) if not keep(one)):
                try:
                    self._delete(trashed)
                    gone.append(trashed)
                except (NotAllowed, StoreFailed) as error:
                    failed.append(error)
        if failed:
            raise failed[0]
        return tuple(gone)

    def _due(self, before: datetime) -> tuple[Trashed, ...]:
        """What was deleted before, oldest first; also what an earlier purge could not delete."""
        found: list[Trashed] = []
        for path in self._entries():
            with suppress(NotFound):
                manifest = self._read(path)
                found += [manifest.trashed] if manifest.state in ("kept", "purging") and _there(path / CONTENT) else []
        return tuple(sorted((one for one in found if one.at < before), key=lambda one: one.at))

    def _described(self, own: Path, root: Path, found: os.stat_result) -> Trashed:
        """What is to be moved. Raises `NotAllowed`, `Unsupported`."""
        if found.st_dev != self._folder.stat().st_dev:
            raise _elsewhere(own)
        files, size_bytes = _measured(own)
        kinds: dict[int, Literal["folder", "link"]] = {stat.S_IFDIR: "folder", stat.S_IFLNK: "link"}
        return Trashed(
            trash_id=secrets.token_hex(8),
            root=str(root),
            name=str(own.relative_to(root)),
            kind=kinds.get(stat.S_IFMT(found.st_mode), "file"),
            files=files,
            size_bytes=size_bytes,
            at=datetime.now(UTC),
        )

    def _move_in(self, trashed: Trashed, last: str, above: int) -> None:
        path = self._path(trashed.trash_id)
        path.mkdir(mode=0o700)
        sync_folder(self._folder)
        self._write("moving", trashed)
        try:
            os.rename(last, path / CONTENT, src_dir_fd=above)
        except OSError as error:
            shutil.rmtree(path)
            if error.errno == EXDEV:  # a mount of the same file system
                raise _elsewhere(Path(trashed.name)) from error
            raise
        sync(above)
        sync_folder(path)
        self._write("kept", trashed)

    def _move_out(self, trashed: Trashed, last: str, place: int) -> None:
        path = self._path(trashed.trash_id)
        try:
            with folder(path, ()) as source:
                rename_new(CONTENT, last, source_dir=source, target_dir=place)
        except OSError as error:
            if error.errno == EEXIST:
                raise Conflict(
                    f"there is a {trashed.name!r:.200} again", fix="move it away first", path=trashed.name
                ) from error
            if error.errno in (EINVAL, ENOSYS):
                raise Unsupported(
                    "this file system cannot restore without a risk of overwriting",
                    fix=f"move {path / CONTENT} yourself",
                ) from error
            raise
        sync(place)
        shutil.rmtree(path)

    def _recover(self, path: Path) -> None:
        """Bring what a process that died was doing to one of its ends."""
        try:
            manifest = self._read(path)
        except NotFound:
            if not _there(path / CONTENT):  # it died before it had begun
                shutil.rmtree(path)
            return
        except StoreFailed:
            return  # for a person; who asks for the list is told
        if manifest.state == "purging":
            with suppress(NotAllowed, StoreFailed):  # as something immutable: the next purge tells of it
                self._delete(manifest.trashed)
        elif not _there(path / CONTENT):
            shutil.rmtree(path)  # it was never moved, or is back
        elif manifest.state != "kept":
            self._write("kept", manifest.trashed)

    def _delete(self, trashed: Trashed) -> None:
        path = self._path(trashed.trash_id)
        with told(trashed.name):
            if _there(path / CONTENT):
                _measured(path / CONTENT)
                self._write("purging", trashed)
                _remove(path / CONTENT)
            shutil.rmtree(path)

    def _found(self, trash_id: str) -> Trashed:
        path = self._path(trash_id)
        trashed = self._read(path).trashed
        if not _there(path / CONTENT):
            raise _unknown(trash_id)
        return trashed

    def _path(self, trash_id: str) -> Path:
        if not TRASH_ID.fullmatch(trash_id):
            raise BadInput(f"{trash_id!r:.50} is no id of the trash", fix="list the trash", field="trash_id")
        return self._folder / trash_id

    def _entries(self) -> Iterator[Path]:
        return (path for path in self._folder.iterdir() if TRASH_ID.fullmatch(path.name))

    def _read(self, path: Path) -> Manifest:
        try:
            return Manifest.model_validate_json((path / MANIFEST).read_bytes())
        except FileNotFoundError:
            raise _unknown(path.name) from None
        except ValidationError as error:
            raise StoreFailed(
                f"{path / MANIFEST} is damaged: {error.error_count()} faults",
                fix=f"{path / CONTENT} is what was deleted",
            ) from None

    def _write(self, state: State, trashed: Trashed) -> None:
        content = Manifest(state=state, trashed=trashed).model_dump_json().encode()
        write_whole(self._path(trashed.trash_id) / MANIFEST, content)

    @contextmanager
    def _alone(self) -> Generator[None]:
        handle = os.open(self._folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)


def _unknown(trash_id: str) -> NotFound:
    return NotFound(f"there is no {trash_id} in the trash", fix="list the trash", trash_id=trash_id)


def _there(path: Path) -> bool:
    return path.is_symlink() or path.exists()


def _measured(path: Path) -> tuple[int, int]:
    """Files and bytes of a tree that can be moved and deleted as one.

    Raises:
        NotAllowed: it holds a mount, a device, or folders that nest too deep.
    """
    _refuse_mounts(path)
    files, size_bytes, rest = 0, 0, [(path, 0)]
    device = path.lstat().st_dev
    while rest:
        one, depth = rest.pop()
        found = one.lstat()
        if found.st_dev != device or stat.S_ISBLK(found.st_mode) or stat.S_ISCHR(found.st_mode):
            raise NotAllowed(f"{one} is a mount or a device", fix="let a person delete it", path=str(one))
        if not stat.S_ISDIR(found.st_mode):
            files, size_bytes = files + 1, size_bytes + found.st_size
            continue
        if depth >= MOST_DEEP:
            raise NotAllowed(f"folders nest more than {MOST_DEEP} deep", fix="let a person delete it", path=str(path))
        rest += [(inner, depth + 1) for inner in one.iterdir()]
    return files, size_bytes


def _refuse_mounts(path: Path) -> None:
    """A folder of the same file system, mounted within, would be deleted with it, and no device number tells."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        point = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), line.split(" ")[4])
        if Path(point).is_relative_to(path):
            raise NotAllowed(f"{point} is mounted there", fix="let a person unmount it", path=point)


def _remove(path: Path) -> None:
    """Delete a tree for good, also where its folders were made read-only."""
    if path.is_symlink() or not path.is_dir():
        return path.unlink()
    for inner, _, _ in os.walk(path):
        os.chmod(inner, 0o700)  # noqa: PTH101 - a plain string, of a folder and no link
    return shutil.rmtree(path)


def _elsewhere(path: Path) -> Unsupported:
    return Unsupported(
        f"{path} and the trash lie on different file systems",
        fix="put the trash on the file system of the workspace",
        path=str(path),
    )
