"""The protocol of a store: named files, each written whole or not at all."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Protocol, runtime_checkable

from blocks.errors import BadInput
from blocks.model import Frozen


class FileRef(Frozen):
    """A file in the store, by reference; what travels between tasks instead of its bytes.

    Attributes:
        key: Name in the store, parts joined by `/`.
        sha256: Hash of the content, hexadecimal.
        size_bytes: Length of the content.
        media_type: MIME type.
    """

    key: str
    sha256: str
    size_bytes: int
    media_type: str = "application/octet-stream"


@runtime_checkable
class Files(Protocol):
    """An open store. Keys are relative POSIX paths; see `safe_key`.

    All writes are atomic: a reader sees the old file, the new file or none, never a part.
    """

    def exists(self, key: str) -> bool:
        """Whether the key names a file."""
        ...

    def read_bytes(self, key: str) -> bytes:
        """The whole content. Raises `NotFound`."""
        ...

    def open(self, key: str, start: int = 0) -> BinaryIO:
        """The content from a byte before its end on, as a readable binary stream. Raises `NotFound`."""
        ...

    def put_bytes(self, key: str, content: bytes, media_type: str = ...) -> FileRef:
        """Write the content under the key, replacing what was there."""
        ...

    def put_file(self, key: str, path: Path, media_type: str = ...) -> FileRef:
        """Store a local file under the key; a file made by `scratch` is moved, any other copied."""
        ...

    def copy(self, source: FileRef, key: str) -> FileRef:
        """Give a stored file a second name without moving its bytes through this process."""
        ...

    def read_version(self, key: str) -> tuple[bytes, str] | None:
        """Content and version for a later `put_if`; None when there is no such file."""
        ...

    def put_if(self, key: str, content: bytes, version: str | None) -> str:
        """Compare-and-swap: write only if the file still has this version (None: does not exist yet).

        Returns the new version. Raises `Conflict` when someone else wrote first.
        """
        ...

    def list(self, prefix: str = "") -> Iterator[str]:
        """All keys that begin with the prefix, sorted."""
        ...

    def list_modified(self, prefix: str = "") -> Iterator[tuple[str, datetime]]:
        """As `list`, each key with when it was written, in UTC; over a network by far faster than to ask for each."""
        ...

    def modified(self, key: str) -> datetime:
        """When the file was written, in UTC. Raises `NotFound`."""
        ...

    def delete(self, key: str) -> None:
        """Remove the file; no error when it is gone already."""
        ...

    def local(self, key: str) -> AbstractContextManager[Path]:
        """The file as a local path to read from; the path may be gone after the block."""
        ...

    def scratch(self, name: str) -> AbstractContextManager[Path]:
        """A path, ending in `name`, for one temporary file; removed after the block.

        What a killed process left is removed by the next process that opens the store.
        """
        ...

    def lock(self, key: str, *, wait: bool = True) -> AbstractContextManager[bool]:
        """Mutual exclusion between processes; yields whether it was obtained.

        A holder that dies loses the lock.
        """
        ...

    def uri(self, key: str) -> str:
        """Where a person finds the file."""
        ...


MAX_PART_BYTES = 255
"""Longest file name of ext4, XFS, APFS and NTFS."""


def safe_key(key: str) -> str:
    """Return the key if every part is a plain file name, else raise `BadInput`.

    Refused: empty, absolute, `.` and `..` parts, backslashes, control characters, parts over 255 bytes.
    """
    parts = key.split("/")
    for part in parts:
        if part in ("", ".", "..") or "\\" in part or any(ord(char) < 32 or ord(char) == 127 for char in part):
            raise BadInput(
                f"store key {key!r} has the unsafe part {part!r}",
                fix="use plain file names joined by single slashes",
                field="key",
            )
        if len(part.encode()) > MAX_PART_BYTES:
            raise BadInput(
                f"store key {key[:80]!r}… has a part longer than {MAX_PART_BYTES} bytes",
                fix="shorten the name",
                field="key",
            )
    return str(PurePosixPath(key))
