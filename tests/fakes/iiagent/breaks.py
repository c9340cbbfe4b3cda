"""What is to break, and when: counted in frames, bytes and looks, never in seconds."""

from dataclasses import dataclass, field

from tests.fakes.iiagent.gates import Gates


@dataclass
class Polled:
    """A gate that opens when the events of a session were looked at so often."""

    session_id: str
    gate: str
    looks: int


@dataclass
class Breaks:
    """Breaks of one server that are still to come.

    Attributes:
        gates: The server's gates.
        lost_replies: Uploads whose answer will be lost.
    """

    gates: Gates
    lost_replies: int = 0
    _cuts: dict[str, list[int]] = field(default_factory=lambda: {"sent": [], "received": []})
    _downloads: list[int] = field(default_factory=list)
    _polled: list[Polled] = field(default_factory=list)

    def cut_after(self, frames: int, side: str) -> None:
        """Break a connection at so many frames from now on."""
        self._cuts[side].append(frames)

    def counted_out(self, side: str) -> bool:
        """Count a frame; True if the connection breaks at it."""
        cuts = self._cuts[side]
        if not cuts:
            return False
        cuts[0] -= 1
        if cuts[0] > 0:
            return False
        cuts.pop(0)
        return True

    def cut_download_after(self, size_bytes: int) -> None:
        """Break off the next download."""
        self._downloads.append(size_bytes)

    def download_cut(self) -> int | None:
        """How many bytes of this download arrive; None: all."""
        return self._downloads.pop(0) if self._downloads else None

    def loses_reply(self) -> bool:
        """Whether the answer to this upload is lost."""
        self.lost_replies -= 1
        return self.lost_replies >= 0

    def open_at_poll(self, session_id: str, gate: str, looks: int) -> None:
        """Open a gate at so many looks from now on."""
        self._polled.append(Polled(session_id, gate, looks))

    def polled(self, session_id: str) -> None:
        """The events of a session were looked at."""
        for waiting in [waiting for waiting in self._polled if waiting.session_id == session_id]:
            waiting.looks -= 1
            if waiting.looks <= 0:
                self._open(waiting)

    def crowded(self, session_id: str) -> None:
        """A second agent started in a session: nobody has to wait there any longer."""
        for waiting in [waiting for waiting in self._polled if waiting.session_id == session_id]:
            self._open(waiting)

    def _open(self, waiting: Polled) -> None:
        self._polled.remove(waiting)
        self.gates.open(waiting.gate)
