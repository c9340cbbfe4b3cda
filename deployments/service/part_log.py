"""What a part of the service prints, in a file that does not grow without end."""

from contextlib import suppress
from io import FileIO
from pathlib import Path

LARGEST_BYTES = 10_000_000
OLD_FILES = 3


class PartLog:
    """`<name>.log` in a folder, and its three predecessors, each at most 10 MB.

    Args:
        file: The newest one.
        largest_bytes: Size at which it becomes `<name>.log.1`.
    """

    def __init__(self, file: Path, *, largest_bytes: int = LARGEST_BYTES) -> None:
        self.file = file
        self.last_line = ""
        self._largest_bytes = largest_bytes
        file.parent.mkdir(parents=True, exist_ok=True)
        self._opened = self._open()

    def write(self, text: bytes) -> None:
        """Add output; a line may come in pieces. What a full disk does not take is dropped: the part must go on."""
        with suppress(OSError):
            if self._opened.closed:
                self._opened = self._open()
            if self._opened.tell() + len(text) > self._largest_bytes and self._opened.tell():
                self._rotate()
            self._opened.write(text)
        lines = text.decode(errors="replace").strip().splitlines()
        self.last_line = lines[-1].strip() if lines else self.last_line

    def close(self) -> None:
        """Write no more."""
        self._opened.close()

    def _rotate(self) -> None:
        self._opened.close()
        for number in range(OLD_FILES - 1, 0, -1):
            older = self._numbered(number)
            if older.exists():
                older.replace(self._numbered(number + 1))
        self.file.replace(self._numbered(1))
        self._opened = self._open()

    def _open(self) -> FileIO:
        return self.file.open("ab", buffering=0)

    def _numbered(self, number: int) -> Path:
        return self.file.with_name(f"{self.file.name}.{number}")
