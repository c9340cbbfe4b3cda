"""Files that are written whole or not at all, whatever happens in between."""

import os
import uuid
from pathlib import Path


def write_whole(path: Path, content: bytes, *, mode: int = 0o600, sync: bool = True) -> None:
    """Put the content under the path; a reader sees the old file or the new one, also after a crash of the machine.

    Args:
        path: Where; its folder must exist.
        content: What.
        mode: Permissions of the new file.
        sync: Whether to wait for the disk; else only a crash of the process is survived, not one of the machine.

    Raises:
        OSError: it could not be written; the old file stands.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            if sync:
                os.fsync(stream.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if sync:
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Have the names in a folder survive a crash of the machine."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
