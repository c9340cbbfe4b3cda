"""What carries frames between us and an agent server; another generation of servers gets another form of it."""

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from blocks.iiagent.events import Frame

TOO_LARGE = 1009
"""Close code: a frame was larger than one of the two takes."""


class Received(NamedTuple):
    """A frame.

    Attributes:
        frame: What it says; a text where it is no JSON.
        size_bytes: As it came.
    """

    frame: Any
    size_bytes: int


@dataclass(eq=False)
class Lost(Exception):
    """The connection is gone; a run that went on in it is cancelled by the server, sooner or later.

    Attributes:
        reason: In a few words.
        code: Close code of WebSockets; 1006: without one.
        ours: Whether it was this side that closed it.
    """

    reason: str
    code: int = 1006
    ours: bool = False

    def __str__(self) -> str:
        return f"{self.reason} (close code {self.code})"


class AgentTransport(Protocol):
    """A connection for the frames of one session."""

    async def connect(self, *, device_id: str, session_id: str | None) -> None:
        """Open it.

        Raises:
            EngineUnavailable: nobody takes it now.
            NotAllowed: who we are is not enough.
            Unsupported: there is no such thing at the address.
        """
        ...

    async def send(self, frame: Frame) -> None:
        """Send a frame. Raises `Lost`."""
        ...

    async def receive(self) -> Received:
        """The next frame; may be cancelled without losing one. Raises `Lost`."""
        ...

    async def close(self) -> None:
        """Close it, politely if that is quick; never raises."""
        ...
