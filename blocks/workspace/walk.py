"""Going through folders one by one, following no link: what was checked is what is opened."""

import ctypes
import errno
import os
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from blocks.errors import BadInput, NotAllowed, NotFound, StoreFailed

FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

RENAME_NOREPLACE = 1


@contextmanager
def folder(root: Path, parts: Sequence[str], *, make: bool = False) -> Generator[int]:
    """Open a folder below the root.

    Args:
        root: Real path to begin at.
        parts: Names of the folders from there on, none of them a link.
        make: Whether to make those that are missing.

    Yields:
        Its file descriptor, for `dir_fd`.

    Raises:
        OSError: one of them is not there, is a link or no folder.
    """
    handle = os.open(root, FOLDER)
    try:
        for part in parts:
            if make:
                with suppress(FileExistsError):
                    os.mkdir(part, dir_fd=handle)
            inner = os.open(part, FOLDER, dir_fd=handle)
            os.close(handle)
            handle = inner
        yield handle
    finally:
        os.close(handle)


def rename_new(source: str, target: str, *, source_dir: int, target_dir: int) -> None:
    """Move something to a name that must be free. Raises `OSError`: EEXIST where it is not."""
    libc = ctypes.CDLL(None, use_errno=True)
    # Python has no renameat2(2); and to look first whether the name is free would leave a gap.
    if libc.renameat2(source_dir, os.fsencode(source), target_dir, os.fsencode(target), RENAME_NOREPLACE):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), target)


def sync(handle: int) -> None:
    """Have the names in an open folder survive a crash of the machine."""
    again = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=handle)
    try:
        os.fsync(again)
    finally:
        os.close(again)


@contextmanager
def told(name: str) -> Generator[None]:
    """Errors of the system as ours.

    Raises:
        NotFound, BadInput: the name does not fit what is there.
        NotAllowed: a link came up where there was none, or the system refuses.
        StoreFailed: anything else, as a full disk.
    """
    try:
        yield
    except OSError as error:
        raise _typed(name, error) from error


def _typed(name: str, error: OSError) -> BadInput | NotAllowed | StoreFailed:
    said = f"{name!r:.200}: {error.strerror}"
    match error.errno:
        case errno.ENOENT:
            return NotFound(f"there is no {name!r:.200}", fix="list the folder to see what there is", path=name[:200])
        case errno.ENOTDIR | errno.EISDIR | errno.ENAMETOOLONG | errno.EEXIST | errno.ENOTEMPTY:
            return BadInput(said, fix="list the folder to see what there is", path=name[:200])
        case errno.ELOOP | errno.EACCES | errno.EPERM | errno.EROFS:
            return NotAllowed(said, fix="use a file that is no link and may be used", path=name[:200])
        case _:
            return StoreFailed(said, fix="look at the disk of the workspace", path=name[:200])
