"""A file compressed beside itself, with the same times, owner and permissions."""

import gzip
import hashlib
import os
from contextlib import suppress
from errno import EEXIST
from typing import IO, Any

from tasks.ops.cleanup.bin import PART
from tasks.ops.cleanup.calls import Facts, look, move_new

SUFFIX = ".gz"
CHUNK_BYTES = 1 << 20
LEVEL = 6


class Changed(Exception):
    """It is not what was seen any more."""


def compress(name: str, seen: Facts, folder: int, scratch: int) -> int:
    """Write `name.gz` with what `name` has; the file itself stays.

    Args:
        name: Of the file.
        seen: What was known of it.
        folder: The open folder that it is in.
        scratch: An open folder on the same file system in which nobody else writes.

    Returns:
        What the compressed file takes on the disk, in bytes.

    Raises:
        Changed: it is another file, or somebody wrote to it meanwhile.
        OSError: it cannot be read or written; EEXIST: there is another file of that name.
    """
    part = f"{PART}{os.getpid()}"
    source = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    try:
        if not look("", source).is_same(seen):
            raise Changed
        target = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600, dir_fd=scratch)
        with os.fdopen(target, "wb") as stream:
            digest = _copy(source, stream)
            stream.flush()
            _dress(source, stream.fileno())
        if not look("", source).is_same(seen):
            raise Changed
        _place(part, name + SUFFIX, folder, scratch, digest)
        return look(name + SUFFIX, folder).used_bytes
    finally:
        os.close(source)
        with suppress(FileNotFoundError):
            os.unlink(part, dir_fd=scratch)


def _copy(source: int, stream: IO[Any]) -> bytes:
    """Compress all of a file; the hash of what it has."""
    digest = hashlib.sha256()
    with gzip.GzipFile(filename="", mode="wb", fileobj=stream, compresslevel=LEVEL, mtime=0) as packed:
        while chunk := os.read(source, CHUNK_BYTES):
            digest.update(chunk)
            packed.write(chunk)
    return digest.digest()


def _dress(source: int, target: int) -> None:
    """Give a file the owner, permissions and times of another, and have it on the disk."""
    facts = os.fstat(source)
    with suppress(PermissionError):  # only root gives files away
        os.fchown(target, facts.st_uid, facts.st_gid)
    os.fchmod(target, facts.st_mode & 0o777)
    os.fsync(target)
    os.utime(target, ns=(facts.st_atime_ns, facts.st_mtime_ns))


def _place(part: str, name: str, folder: int, scratch: int, digest: bytes) -> None:
    """Give the compressed file its name, unless one of the same content has it: a killed run got as far."""
    try:
        move_new(part, scratch, folder, name)
    except OSError as error:
        if error.errno != EEXIST or _unpacked(name, folder) != digest:
            raise


def _unpacked(name: str, folder: int) -> bytes | None:
    """The hash of what a compressed file has; None where it is none."""
    digest = hashlib.sha256()
    handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    with os.fdopen(handle, "rb") as stream:
        try:
            with gzip.GzipFile(fileobj=stream) as packed:
                while chunk := packed.read(CHUNK_BYTES):
                    digest.update(chunk)
        except (OSError, EOFError):
            return None
    return digest.digest()
