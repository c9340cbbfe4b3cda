"""A local file that a recording streams into, hashed on the way and never larger than allowed."""

import hashlib
from pathlib import Path

from blocks.errors import StoreFailed, TooLarge

CHUNK_BYTES = 1 << 20


class Sink:
    """A local file being written, hashed and measured.

    Args:
        target: Where to write.
        max_bytes: Longest content taken.
    """

    def __init__(self, target: Path, max_bytes: int) -> None:
        self._stream = target.open("wb")
        self._max_bytes = max_bytes
        self._digest = hashlib.sha256()
        self.size_bytes = 0

    def write(self, chunk: bytes) -> None:
        """Take more content. Raises `TooLarge` as soon as it is too much."""
        self.size_bytes += len(chunk)
        if self.size_bytes > self._max_bytes:
            raise too_large(self._max_bytes)
        self._digest.update(chunk)
        try:
            self._stream.write(chunk)
            self._stream.flush()  # here, where a full disk can be told; closing is then without surprises
        except OSError as error:
            raise StoreFailed(
                f"the recording cannot be written to the store: {error.strerror}", fix="make room on its disk"
            ) from error

    def close(self) -> str:
        """Finish; returns the sha256 of the content."""
        self._stream.close()
        return self._digest.hexdigest()


def too_large(max_bytes: int) -> TooLarge:
    """The error for a file over the size limit."""
    return TooLarge(
        f"the file is over {max_bytes / 1_000_000:g} MB", fix="cut or compress it, or raise MAX_FILE_SIZE_MB"
    )
