"""Heads that the log has had, kept outside of its folder: who cuts the log must change them, too."""

import fcntl
import os
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from blocks.audit.days import disk_errors
from blocks.audit.entry import Head
from blocks.errors import StoreFailed
from blocks.model import Frozen


class Anchor(Frozen):
    """A head, and when it was put down."""

    seq: int
    hash: str
    at: datetime

    @property
    def head(self) -> Head:
        """The head."""
        return Head(seq=self.seq, hash=self.hash)


class Anchors:
    """An append-only file of heads, a line each.

    It guards against who can write the log's folder and not this file. Against who can write both, keep heads where
    neither reaches: in Prefect (`anchor-audit`), in Prometheus, on paper; `c500 audit verify --anchor` takes them.

    Args:
        path: Of the file; made when missing.
    """

    def __init__(self, path: Path) -> None:
        self._path = path.expanduser()

    def append(self, head: Head) -> None:
        """Put down a head; the latest one once. Raises `StoreFailed`."""
        line = Anchor(seq=head.seq, hash=head.hash, at=datetime.now(UTC)).model_dump_json() + "\n"
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        with disk_errors(self._path):
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self._path, flags, 0o600)
            with os.fdopen(descriptor, "rb+", buffering=0) as stream:
                fcntl.flock(stream, fcntl.LOCK_EX)
                content = stream.read() or b""
                known = _anchors(content, self._path)
                if known and known[-1] == head:
                    return
                stream.truncate(content.rfind(b"\n") + 1)  # a write that was cut off: nobody was told of that head
                stream.write(line.encode())
                os.fsync(stream.fileno())

    def read(self) -> tuple[Head, ...]:
        """All heads, oldest first; none when there is no file.

        Raises:
            StoreFailed: it cannot be read, or a line is no head.
        """
        with disk_errors(self._path):
            if not self._path.exists():
                return ()
            return _anchors(self._path.read_bytes(), self._path)


def _anchors(content: bytes, path: Path) -> tuple[Head, ...]:
    heads: list[Head] = []
    *lines, _cut_off = content.split(b"\n")
    for number, line in enumerate(lines, start=1):
        try:
            heads.append(Anchor.model_validate_json(line).head)
        except ValidationError as error:
            raise StoreFailed(
                f"line {number} of {path} is no head", fix="put the file back as it was; its lines are never changed"
            ) from error
    return tuple(heads)
