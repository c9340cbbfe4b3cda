"""A folder whose files are read and written by open folders: no link is followed, whenever it was put there."""

import asyncio
import errno
import fcntl
import hashlib
import os
import stat
import uuid
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from typing import Any, TypeVar

import anyio

from blocks.errors import BadInput, Conflict, NotFound, StoreFailed
from blocks.iiagent.paths import MOST_DEEP

T = TypeVar("T")

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
PLAIN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""To read a file; a pipe that lies there under its name does not hold the reader."""

NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
PIECE_BYTES = 1 << 18
IN_THE_WAY = (errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.ENOTEMPTY, errno.EEXIST)


class Blocked(BadInput):
    """Something that is no plain file or folder lies where one has to be."""

    code = "NOT_A_PLAIN_FILE"


@dataclass(frozen=True)
class Facts:
    """What is known of a file: bytes, and a mark that changes with its content where there is one."""

    size_bytes: int | None
    etag: str | None = None


@dataclass
class Part:
    """A file that is being written under a name of its own, until it is put where it belongs.

    Attributes:
        size_bytes: Written so far.
    """

    stream: FileIO
    name: str
    size_bytes: int = 0
    _hash: Any = field(default_factory=hashlib.sha256)

    def write(self, content: bytes) -> None:
        """Add to it. Raises `StoreFailed`, as on a full disk."""
        left = memoryview(content)
        try:
            while left:
                left = left[self.stream.write(left) :]
        except OSError as error:
            raise StoreFailed(f"no more can be written: {error.strerror or error}", fix="check the disk") from error
        self._hash.update(content)
        self.size_bytes += len(content)

    @property
    def sha256(self) -> str:
        """Of what is written so far, hexadecimal."""
        return self._hash.hexdigest()


class Tree:
    """An open folder. Paths in it are those that `paths.placed` lets through.

    Args:
        handle: The folder, open; closed by `open_tree`.
        name: What it is called in messages.
    """

    def __init__(self, handle: int, name: str) -> None:
        self._handle, self.name = handle, name

    @contextmanager
    def folder(self, parts: list[str], *, make: bool = False) -> Generator[int]:
        """An inner folder, open. Raises `NotFound`, `Blocked`, `StoreFailed`."""
        with ExitStack() as stack:
            handle = self._handle
            with self._told("/".join(parts)):
                for part in parts:
                    if make:
                        with suppress(FileExistsError):
                            os.mkdir(part, 0o700, dir_fd=handle)
                    handle = os.open(part, FOLDER, dir_fd=handle)
                    stack.callback(os.close, handle)
            yield handle

    @contextmanager
    def read(self, local: str) -> Generator[tuple[FileIO, Facts]]:
        """A plain file, open, and its facts. Raises `NotFound`, `Blocked`, `StoreFailed`."""
        *above, name = local.split("/")
        with self.folder(above) as folder:
            with self._told(local):
                handle = os.open(name, PLAIN, dir_fd=folder)
            found = os.fstat(handle)
            if not stat.S_ISREG(found.st_mode):
                os.close(handle)
                raise _blocked(self.name, local)
            with os.fdopen(handle, "rb", buffering=0) as stream:
                yield stream, Facts(found.st_size, f'"{found.st_mtime_ns:x}-{found.st_size:x}-{found.st_ino:x}"')

    def read_bytes(self, local: str, most_bytes: int) -> bytes:
        """The beginning of a file, or all of it; see `read`."""
        with self.read(local) as (stream, facts):
            return stream.read(min(most_bytes, facts.size_bytes or 0))

    def sha256(self, local: str) -> str | None:
        """The hash of a file; None where there is none."""
        try:
            with self.read(local) as (stream, _):
                return hashlib.file_digest(stream, "sha256").hexdigest()
        except (NotFound, Blocked):
            return None

    @contextmanager
    def part(self, where: str) -> Generator[Part]:
        """A new file within an inner folder, under a name of its own; removed after the block unless it was put."""
        with self.folder(where.split("/"), make=True) as folder:
            name = f"{uuid.uuid4().hex}.part"
            with self._told(f"{where}/{name}"):
                handle = os.open(name, NEW, 0o600, dir_fd=folder)
            try:
                with os.fdopen(handle, "wb", buffering=0) as stream:
                    yield Part(stream, f"{where}/{name}")
            finally:
                with suppress(FileNotFoundError):
                    os.unlink(name, dir_fd=folder)

    def put(self, part: Part, local: str) -> None:
        """Have a part be the file of a path; what was there is replaced, a link itself and not what it leads to.

        Raises:
            Blocked: a folder lies there, or a file where a folder has to be.
            StoreFailed: it cannot be written, as on a full disk.
        """
        *above, name = local.split("/")
        where, _, own = part.name.rpartition("/")
        with self._told(local):
            os.fsync(part.stream.fileno())
        with self.folder(where.split("/")) as source, self.folder(above, make=True) as target, self._told(local):
            os.replace(own, name, src_dir_fd=source, dst_dir_fd=target)
            os.fsync(target)

    def put_bytes(self, where: str, local: str, content: bytes) -> None:
        """Write a small file whole, or not at all; see `put`."""
        with self.part(where) as part:
            part.write(content)
            self.put(part, local)

    def sweep(self, where: str) -> None:
        """Remove what lies in an inner folder, left by a process that was killed; folders in it stay."""
        with suppress(NotFound), self.folder(where.split("/")) as folder:
            for name in os.listdir(folder):  # noqa: PTH208 - an open folder
                with suppress(OSError):
                    os.unlink(name, dir_fd=folder)

    def remove(self, local: str) -> None:
        """Remove a file, if there is one, or a link, and not what it leads to."""
        *above, name = local.split("/")
        with suppress(NotFound, Blocked), self.folder(above) as folder, suppress(FileNotFoundError), self._told(local):
            os.unlink(name, dir_fd=folder)

    def remove_folder(self, name: str) -> None:
        """Remove an inner folder, if there is nothing in it."""
        with suppress(OSError):
            os.rmdir(name, dir_fd=self._handle)

    def names(self, most: int) -> Iterator[str]:
        """The plain files in it and below, as they are spelled; a folder's own come first, and none behind a link.

        Args:
            most: Names are looked at; then it ends.
        """
        left = [most]
        yield from _names(self._handle, "", left, MOST_DEEP)

    @contextmanager
    def alone(self) -> Generator[None]:
        """Be the only one who writes here. Raises `Conflict`."""
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Conflict(
                f"another process writes to {self.name}", fix="wait until it has ended", field="into"
            ) from error
        try:
            yield
        finally:
            fcntl.flock(self._handle, fcntl.LOCK_UN)

    @contextmanager
    def _told(self, local: str) -> Generator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise NotFound(f"there is no file {local!r} in {self.name}", fix="check its name", field="name") from error
        except OSError as error:
            if error.errno in IN_THE_WAY:
                raise _blocked(self.name, local) from error
            raise StoreFailed(
                f"{local!r} in {self.name}: {error.strerror or error}", fix="check the disk and the permissions"
            ) from error


@contextmanager
def open_tree(path: Path, *, make: bool = False, field: str = "into") -> Generator[Tree]:
    """A folder, open for as long as the block runs.

    Args:
        path: Where; may itself be a link, as whoever names it wishes.
        make: Whether to make it where there is none.
        field: The option that names it, for errors.

    Raises:
        NotFound: there is none.
        StoreFailed: it cannot be opened, or is no folder.
    """
    try:
        if make:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise NotFound(f"there is no folder {path}", fix="check the path", field=field) from error
    except OSError as error:
        raise StoreFailed(
            f"the folder {path} cannot be opened: {error.strerror or error}", fix="name another folder", field=field
        ) from error
    try:
        yield Tree(handle, str(path))
    finally:
        os.close(handle)


async def in_thread(work: Callable[[], T]) -> T:
    """Do work with files in a thread, to its end also when the caller is cancelled: it holds open folders."""
    doing = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(doing)
    except asyncio.CancelledError:
        while not doing.done():
            # Shielded: a scope of anyio would cancel this wait again and again.
            with suppress(asyncio.CancelledError), anyio.CancelScope(shield=True):
                await asyncio.wait([doing])
        if not doing.cancelled():
            doing.exception()  # taken, so that nobody is told of one that nobody waits for
        raise


def _names(folder: int, above: str, left: list[int], deep: int) -> Iterator[str]:
    folders: list[str] = []
    for name in sorted(os.listdir(folder)):
        if left[0] <= 0:
            return
        left[0] -= 1
        with suppress(OSError):
            kind = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
            if stat.S_ISREG(kind):
                yield f"{above}{name}"
            elif stat.S_ISDIR(kind) and deep:
                folders.append(name)
    for name in folders:
        with suppress(OSError):
            inner = os.open(name, FOLDER, dir_fd=folder)
            try:
                yield from _names(inner, f"{above}{name}/", left, deep - 1)
            finally:
                os.close(inner)


def _blocked(tree: str, local: str) -> Blocked:
    return Blocked(
        f"{local!r} in {tree} is a link, a folder or something else that is no plain file",
        fix="remove it, or name another folder",
        field="name",
    )
