"""What is kept of an endless stream: its beginning and its end."""


class BoundedOutput:
    """The first and the last bytes of a stream.

    Both, because programs say at the beginning what they do and at the end why they failed.

    Args:
        most_bytes: How many are kept.
    """

    def __init__(self, most_bytes: int) -> None:
        self._head_most = most_bytes // 2
        self._tail_most = most_bytes - self._head_most
        self._head, self._tail = bytearray(), bytearray()
        self.seen_bytes = 0

    def add(self, chunk: bytes) -> None:
        """Take the next bytes of the stream."""
        self.seen_bytes += len(chunk)
        room = self._head_most - len(self._head)
        self._head += chunk[:room]
        self._tail += chunk[room:]
        if len(self._tail) > 2 * self._tail_most:  # not each time: that would move all of it for every chunk
            self._trim()

    @property
    def left_out_bytes(self) -> int:
        """How many are not kept."""
        return max(0, self.seen_bytes - self._head_most - self._tail_most)

    def text(self) -> str:
        """What was kept, with a note where something was left out; what is no UTF-8 is replaced."""
        self._trim()
        if not self.left_out_bytes:
            return bytes(self._head + self._tail).decode(errors="replace")
        note = f"\n[… {self.left_out_bytes} bytes left out …]\n"
        return self._head.decode(errors="replace") + note + self._tail.decode(errors="replace")

    def _trim(self) -> None:
        del self._tail[: max(0, len(self._tail) - self._tail_most)]
