"""Temporary files that cannot outlive their process by more than one start, and locks that cannot at all."""

import fcntl
import os
import uuid
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from blocks.store.files import safe_key

GUARD = ".guard"


class Scratch:
    """A folder of temporary files, each beside a guard that its writer keeps locked.

    The kernel frees the lock of a process that dies, however it dies; `sweep` then removes its files.

    Args:
        folder: Where they lie; made when missing.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def file(self, name: str) -> Generator[Path]:
        """A new path ending in `name`; what is there is removed after the block."""
        path = self.folder / f"{uuid.uuid4().hex}-{safe_key(name)}"
        with locked(path.with_name(path.name + GUARD), wait=True):
            try:
                yield path
            finally:
                path.unlink(missing_ok=True)

    def sweep(self) -> None:
        """Remove the files of processes that have died."""
        for guard in self.folder.glob(f"*{GUARD}"):
            with locked(guard, wait=False) as dead:
                if dead:
                    guard.with_name(guard.name.removesuffix(GUARD)).unlink(missing_ok=True)


@contextmanager
def locked(path: Path, *, wait: bool) -> Generator[bool]:
    """Hold an exclusive `flock` on a file that exists only while somebody wants it; yields whether held."""
    while True:
        with path.open("ab") as holder:
            try:
                fcntl.flock(holder, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                yield False
                return
            if os.fstat(holder.fileno()).st_nlink == 0:
                continue  # its last holder removed it between our open and our lock
            try:
                yield True
            finally:
                path.unlink(missing_ok=True)
            return
