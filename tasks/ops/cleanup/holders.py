"""Which files processes have open: a name may go, its bytes stay until the last of them closes it."""

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from tasks.ops.cleanup.choose import Inode


def open_files(*, deleted: bool = False) -> set[Inode]:
    """The plain files that processes have open now, as far as we may see: root sees all, others their own.

    Args:
        deleted: Only those that have no name any more.
    """
    found: set[Inode] = set()
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            with suppress(OSError):  # it ended, or is not ours
                for handle in (process / "fd").iterdir():
                    found.update(_plain(handle, deleted=deleted))
    return found


def _plain(handle: Path, *, deleted: bool) -> Iterator[Inode]:
    """The plain file of an open handle, if it is one."""
    with suppress(OSError):
        facts = handle.stat()
        if stat.S_ISREG(facts.st_mode) and not (deleted and facts.st_nlink):
            yield (os.major(facts.st_dev), os.minor(facts.st_dev)), facts.st_ino
