"""What happens between two turns: waiting, a connection that breaks, a server that stands still, odd frames."""

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from tests.fakes.iiagent.step import Ending, Step

if TYPE_CHECKING:
    from tests.fakes.iiagent.agent import Agent


@dataclass
class Wait(Step):
    """Nothing goes on until the test opens a gate; no slot is taken (`gate` of a turn stands within the model's call).

    Attributes:
        polls: The gate opens by itself at so many looks at the session's events from now on, or when a second agent
            starts in the session; 0: only the test opens it.
    """

    name: str
    polls: int = 0
    turn: ClassVar[bool] = False

    async def play(self, agent: "Agent") -> None:
        """Stand."""
        if self.polls:
            agent.server.breaks.open_at_poll(agent.session.id, self.name, self.polls)
        await agent.server.gates.through(self.name)


@dataclass
class Drop(Step):
    """The connection breaks.

    Attributes:
        code: Close code; 0: no close frame at all.
    """

    code: int = 0
    turn: ClassVar[bool] = False

    async def play(self, agent: "Agent") -> None:
        """Break it."""
        if agent.connection is not None:
            await agent.connection.drop(self.code)


@dataclass
class Frame(Step):
    """A frame as it stands, known or not."""

    type: str
    content: Any = field(default_factory=dict)
    turn: ClassVar[bool] = False

    async def play(self, agent: "Agent") -> None:
        """Send it."""
        await agent.emit(self.type, self.content)


@dataclass
class Raw(Step):
    """What is no frame at all."""

    data: str | bytes
    turn: ClassVar[bool] = False

    async def play(self, agent: "Agent") -> None:
        """Send it."""
        if agent.connection is not None:
            await agent.connection.send_raw(self.data)


@dataclass
class Freeze(Step):
    """The server's event loop stands still until the test opens a gate: no frame, no pong, no REST, for nobody."""

    name: str = "thaw"
    turn: ClassVar[bool] = False

    async def play(self, agent: "Agent") -> None:
        """Freeze."""
        await agent.server.freeze(self.name)


@dataclass
class Deaf(Step):
    """The server hears no frame of this connection any more, but keeps it and answers protocol pings.

    So it is after one frame that is no JSON.
    """

    turn: ClassVar[bool] = False

    async def play(self, agent: "Agent") -> None:
        """End without a word."""
        if agent.connection is not None:
            agent.connection.deaf = True
            agent.connection = None
        raise Ending("lost", saves=False)


@dataclass
class Pause(Step):
    """So much time passes in the call of the model: for benches, never for tests."""

    seconds: float
    turn: ClassVar[bool] = False

    async def play(self, agent: "Agent") -> None:
        """Sleep."""
        await asyncio.sleep(self.seconds)
