"""How much a run has added to its workspace."""

import os
from collections.abc import Iterator

from blocks.sandbox.protocol import MIB

ENTRY_BYTES = 4096
"""What a name costs at least: a million empty files fill a disk, too."""

MOST_DEEP = 100
"""Folders within folders. Programs can nest them deeper than any path reaches, where nothing could be counted."""

RESERVE_BYTES = 256 * MIB
CLOCK_S = 0.02
"""Files carry the time of the kernel's last tick, which is up to 10 ms before now."""


class Growth:
    """Tells when a run fills the disk.

    What is counted are the blocks of files that were changed since the start, as their change time says, which no
    program can set. A large old file counts whole once it is changed: this is a guard against full disks, and no meter.

    Args:
        folder: The workspace.
        most_bytes: What may be added.
        since: Unix time of the start.
    """

    def __init__(self, folder: str, most_bytes: int, since: float) -> None:
        self._folder, self._most, self._since = folder, most_bytes, since - CLOCK_S
        self._free_at_start = free_bytes(folder)

    def fault(self) -> str | None:
        """Why the run must end, in words; None while all is well. Blocks as long as the workspace has many files."""
        free = free_bytes(self._folder)
        if free < RESERVE_BYTES and self._free_at_start - free > self._most:
            # Files that have no name any more are seen by this only.
            return f"the disk of the workspace has only {free} bytes left"
        added = 0
        for size, depth in self._changed():
            added += size
            if added > self._most:
                return f"it added more than {self._most} bytes to the workspace"
            if depth > MOST_DEEP:
                return f"it nested folders more than {MOST_DEEP} deep"
        return None

    def _changed(self) -> Iterator[tuple[int, int]]:
        """Bytes and depth of each thing that was changed since the start."""
        folders = [(self._folder, 1)]
        while folders:
            folder, depth = folders.pop()
            for entry in _entries(folder):
                try:
                    found = entry.stat(follow_symlinks=False)
                except OSError:
                    continue  # it went away meanwhile
                if found.st_ctime >= self._since:
                    yield max(ENTRY_BYTES, found.st_blocks * 512), depth
                if depth <= MOST_DEEP and entry.is_dir(follow_symlinks=False):
                    folders.append((entry.path, depth + 1))


def free_bytes(folder: str) -> int:
    """What users may still write to the file system of a folder."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


def _entries(folder: str) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            yield from entries
    except OSError:
        return  # it went away, or the program took our right to read it; then the disk's reserve is the guard
