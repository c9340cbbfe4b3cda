"""Calls of Linux that Python has no names for: statx(2) and renameat2(2)."""

import ctypes
import os
import sys
from functools import lru_cache
from struct import Struct
from typing import Any, NamedTuple

AT_SYMLINK_NOFOLLOW, AT_NO_AUTOMOUNT, AT_EMPTY_PATH = 0x100, 0x800, 0x1000
BASIC_STATS, MNT_ID = 0x7FF, 0x1000
IMMUTABLE, APPEND_ONLY, MOUNT_ROOT = 0x10, 0x20, 0x2000
RENAME_NOREPLACE = 1

# The fields of struct statx up to stx_mnt_id (Linux 5.8; 0 before).
LAYOUT = Struct("=8xQIIIH2xQQQ8x48xqI4x8xIIQ")
Buffer = ctypes.c_char * 256
"""Of struct statx; `ctypes.create_string_buffer` takes as long as all else of a look."""


class Facts(NamedTuple):
    """What the system says of a file or folder, never of what a link leads to.

    Attributes:
        attributes: Bits, as `IMMUTABLE`.
        nlink: Names that it has, in whatever folders.
        uid: Its owner.
        mode: Type and permissions.
        ino, dev: Who it is.
        size_bytes: Its length.
        used_bytes: What it takes on the disk.
        mtime_ns: When it was last written, nanoseconds since 1970.
        mount: Which mount it lies on; also two mounts of one disk differ.
    """

    attributes: int
    nlink: int
    uid: int
    mode: int
    ino: int
    dev: tuple[int, int]
    size_bytes: int
    used_bytes: int
    mtime_ns: int
    mount: int

    def is_same(self, other: "Facts") -> bool:
        """Whether it is the same file with the same content, as far as its times tell."""
        return (self.dev, self.ino, self.mtime_ns, self.size_bytes, self.mode) == (
            other.dev,
            other.ino,
            other.mtime_ns,
            other.size_bytes,
            other.mode,
        )


def look(name: str, folder: int) -> Facts:
    """Look at a name in an open folder; the empty name is the folder itself. Raises `OSError`."""
    sys.audit("os.statx", name, folder)
    buffer = Buffer()
    flags = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | (0 if name else AT_EMPTY_PATH)
    if _libc().statx(folder, os.fsencode(name), flags, BASIC_STATS | MNT_ID, buffer):
        raise _failed(name)
    attributes, nlink, uid, _, mode, ino, size, blocks, seconds, nanos, major, minor, mount = LAYOUT.unpack_from(buffer)
    when = seconds * 1_000_000_000 + nanos
    return Facts(attributes, nlink, uid, mode, ino, (major, minor), size, blocks * 512, when, mount)


def move_new(name: str, source: int, target: int, new_name: str | None = None) -> None:
    """Move a name from one open folder to another, where it must be free. Raises `OSError`: EEXIST where it is not."""
    sys.audit("os.rename", name, new_name, source, target)
    new = os.fsencode(name if new_name is None else new_name)
    if _libc().renameat2(source, os.fsencode(name), target, new, RENAME_NOREPLACE):
        raise _failed(name)


@lru_cache(maxsize=1)
def _libc() -> Any:
    return ctypes.CDLL(None, use_errno=True)


def _failed(name: str) -> OSError:
    code = ctypes.get_errno()
    return OSError(code, os.strerror(code), name)
