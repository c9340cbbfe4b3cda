"""The key that seals records, in a file that only its owner may read."""

import os
import secrets
import stat
import uuid
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from blocks.errors import C500Error, NotAllowed, NotFound, StoreFailed
from blocks.whole_file import sync_folder

KEY_BYTES = 32


def open_key(path: Path) -> bytes:
    """The key in the file; made once when there is none, whoever comes first.

    Args:
        path: Of the file. Its folder is made when missing.

    Returns:
        32 random bytes.

    Raises:
        NotAllowed: others than its owner may read the file, or it is no file.
        StoreFailed: it cannot be read or made, or is no key.
    """
    with _disk_errors(path):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            _make(path)
    return read_key(path)


def read_key(path: Path) -> bytes:
    """The key in the file, as `open_key`; raises `NotFound` when there is none."""
    with _disk_errors(path):
        if not path.exists():
            raise NotFound(f"there is no key {path}", fix="the first run of an agent makes it; name the right home")
        key = _read(path)
    if len(key) != KEY_BYTES:
        raise StoreFailed(f"{path} is no key: it has {len(key)} bytes", fix=f"put back the {KEY_BYTES} bytes it had")
    return key


@contextmanager
def _disk_errors(path: Path) -> Generator[None]:
    try:
        yield
    except C500Error:
        raise
    except OSError as error:
        raise StoreFailed(
            f"the key {path} cannot be read: {error.strerror or error}", fix="make its folder yours to write"
        ) from error


def _make(path: Path) -> None:
    """A whole key under its name, or the one that another process has made meanwhile."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(secrets.token_bytes(KEY_BYTES))
            stream.flush()
            os.fsync(stream.fileno())
        try:
            os.link(temporary, path)  # unlike a rename it does not replace what is there
        except FileExistsError:
            return
        sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _read(path: Path) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as stream:
        found = os.fstat(stream.fileno())
        if not stat.S_ISREG(found.st_mode) or found.st_mode & 0o077:
            raise NotAllowed(f"others may read the key {path}", fix=f"chmod 600 {path}, and ask who has read it")
        return stream.read(KEY_BYTES + 1)
