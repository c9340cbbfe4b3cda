"""How full disks are, and a file that is given up when one is full, so that there is room to say so."""

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from blocks.model import Frozen

BALLAST = "ballast"
BALLAST_BYTES = 32_000_000
FULL_BYTES = 8_000_000
"""With less room, the ballast is given up."""

ROOMY = 20
"""Times of its size that must be free for a ballast to be made."""


class Disk(Frozen):
    """How full a disk is, as `df` says.

    Attributes:
        place: A folder on it.
        size_bytes: What it holds.
        free_bytes: What users may still write.
        used_percent: Of what users may write in all.
        inodes_percent: Files that it has, of those that it can have; 0 where it knows no limit.
    """

    place: str
    size_bytes: int
    free_bytes: int
    used_percent: float
    inodes_percent: float

    @property
    def fullest_percent(self) -> float:
        """Whichever is fuller: a disk without room for another file is full."""
        return max(self.used_percent, self.inodes_percent)


def disk_of(place: Path) -> Disk:
    """The disk of a folder, or of what is there of its path. Raises `OSError`."""
    found = os.statvfs(place)
    used, users = found.f_blocks - found.f_bfree, found.f_blocks - found.f_bfree + found.f_bavail
    return Disk(
        place=str(place),
        size_bytes=found.f_blocks * found.f_frsize,
        free_bytes=found.f_bavail * found.f_frsize,
        used_percent=round(100 * used / users, 1) if users else 0.0,
        inodes_percent=round(100 * (found.f_files - found.f_ffree) / found.f_files, 1) if found.f_files else 0.0,
    )


def disks_of(places: Iterable[Path]) -> tuple[Disk, ...]:
    """The disks of some places, each once."""
    found: dict[int, Disk] = {}
    for place in places:
        there = _existing(place.expanduser().absolute())
        with suppress(OSError):
            found.setdefault(there.stat().st_dev, disk_of(there))
    return tuple(found.values())


def keep_ballast(home: Path) -> bool:
    """Have the ballast, where the disk has room for it; whether it is there."""
    path = home / BALLAST
    if path.exists():
        return True
    try:
        if disk_of(home).free_bytes < ROOMY * BALLAST_BYTES:
            return False
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(handle, 0, BALLAST_BYTES)
        finally:
            os.close(handle)
    except OSError:
        path.unlink(missing_ok=True)
        return False
    return True


def drop_ballast(home: Path) -> bool:
    """Give the ballast up where the disk is full: ledger and audit need room before anything may be deleted."""
    path = home / BALLAST
    try:
        if disk_of(_existing(home)).free_bytes >= FULL_BYTES or path.is_symlink() or not path.is_file():
            return False
        path.unlink()
    except OSError:
        return False
    return True


def _existing(place: Path) -> Path:
    while not place.exists() and place != place.parent:
        place = place.parent
    return place
