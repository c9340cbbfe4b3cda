"""One live connection of a session: its greeting, its agent, its frames, and whether the server still lives."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from blocks.iiagent.archive import Source
from blocks.iiagent.events import (
    AgentInitialized,
    AgentResponse,
    AgentResponseInterrupted,
    ConnectionEstablished,
    Event,
    Frame,
    Pong,
    ServerError,
    parse_event,
)
from blocks.iiagent.faults import ErrorKind, ServerFault, fault_of
from blocks.iiagent.pace import Pace
from blocks.iiagent.server import AgentServer, Limits
from blocks.iiagent.transport import AgentTransport, Lost

Note = Callable[[Source, Frame, Event, int], Awaitable[None]]
"""Takes all that goes by: where it comes from (`socket` or `sent`), the frame, its event, its bytes."""


class Overdue(Exception):
    """A watchdog barks.

    Attributes:
        kind: idle, time or size.
        message: What is too long or too much.
    """

    def __init__(self, kind: ErrorKind, message: str) -> None:
        super().__init__(message)
        self.kind: ErrorKind = kind
        self.message = message


class Refused(Exception):
    """The server makes no agent.

    Attributes:
        kind: Why.
        message: What it said.
    """

    def __init__(self, kind: ServerFault, message: str) -> None:
        super().__init__(message)
        self.kind: ServerFault = kind
        self.message = message


@dataclass
class Watch:
    """How long may be waited: until when in all, and for how long without an event.

    Attributes:
        until: By the clock of `Pace`.
        what: What ends then, for the error.
        idle_s: Longest silence; None: any.
    """

    until: float
    what: str = "the turn"
    idle_s: float | None = None


class Link:
    """A connection.

    Args:
        transport: What carries the frames.
        limits: How long things may take.
        pace: Time.
        note: Is told of every frame; may raise `Overdue`.
    """

    def __init__(self, transport: AgentTransport, limits: Limits, pace: Pace, note: Note) -> None:
        self._transport, self._limits, self._pace, self._note = transport, limits, pace, note
        self._heard_at = self._told_at = pace.now()
        self._pinged_at: float | None = None

    async def open(self, *, device_id: str, session_id: str | None) -> ConnectionEstablished:
        """Connect, and wait for the greeting. Raises `Lost`, `Overdue`, and what `AgentTransport.connect` raises."""
        await self._transport.connect(device_id=device_id, session_id=session_id)
        watch = Watch(self._pace.now() + self._limits.connect_s, "the server's greeting")
        self._heard_at = self._pace.now()
        while True:
            event = await self.event(watch)
            if isinstance(event, ConnectionEstablished):
                return event

    async def init(self, server: AgentServer, model_key: str) -> None:
        """Have the agent made, or made again with another model. Raises `Refused`, `Lost`, `Overdue`."""
        content = {"model_name": model_key, "tool_args": server.tool_args, "thinking_tokens": 0}
        await self.send("init_agent", content)
        watch = Watch(self._pace.now() + server.init_s, "making the agent")
        while True:
            event = await self.event(watch)
            if isinstance(event, AgentInitialized):
                return
            if isinstance(event, ServerError):
                raise Refused(fault_of(event.message), event.message)

    async def send(self, kind: str, content: dict[str, Any]) -> None:
        """Send a frame. Raises `Lost`."""
        frame: Frame = {"type": kind, "content": content}
        await self._transport.send(frame)
        self._told_at = self._pace.now()  # silence counts from the last question on
        await self._note("sent", frame, parse_event(frame), 0)

    async def check(self) -> None:
        """Make sure that the server still hears us. Raises `Lost`."""
        await self._ping()
        watch = Watch(self._pace.now() + self._limits.dead_after_s)
        try:
            while self._pinged_at is not None:
                async with asyncio.timeout(max(0.0, watch.until - self._pace.now())):
                    received = await self._transport.receive()
                if isinstance(event := parse_event(received.frame), Pong):
                    self._heard_at, self._pinged_at = self._pace.now(), None
                else:
                    await self._note("socket", received.frame, event, received.size_bytes)
        except TimeoutError:
            raise self._dead() from None

    async def event(self, watch: Watch) -> Event:
        """The next event but pongs; meanwhile the server is pinged.

        Raises:
            Lost: the connection is gone, or nobody answers in it any more: a server that has met a bad frame keeps the
                socket and hears nothing.
            Overdue: it took too long, or too much came.
        """
        while True:
            try:
                async with asyncio.timeout(max(0.0, self._due(watch) - self._pace.now())):
                    received = await self._transport.receive()
            except TimeoutError:
                await self._wake(watch)
                continue
            event = parse_event(received.frame)
            self._heard_at, self._pinged_at = self._pace.now(), None
            if not isinstance(event, Pong):
                self._told_at = self._heard_at
                await self._note("socket", received.frame, event, received.size_bytes)
                return event
            self._bark(watch)  # pongs alone must not keep a silent run alive

    async def end_of_run(self, watch: Watch) -> AgentResponse | AgentResponseInterrupted | ServerError:
        """Pass all events by until a run ends. Raises as `event` does."""
        while True:
            event = await self.event(watch)
            if isinstance(event, ServerError | AgentResponseInterrupted):
                return event
            if isinstance(event, AgentResponse) and event.ends_run:
                return event

    async def close(self) -> None:
        """Close the connection."""
        await self._transport.close()

    def _due(self, watch: Watch) -> float:
        """When there is something to do, should nothing come."""
        if self._pinged_at is None:
            due = self._heard_at + self._limits.ping_every_s
        else:
            due = self._pinged_at + self._limits.dead_after_s
        idle = due if watch.idle_s is None else self._told_at + watch.idle_s
        return min(due, watch.until, idle)

    async def _wake(self, watch: Watch) -> None:
        self._bark(watch)
        now = self._pace.now()
        if self._pinged_at is not None and now >= self._pinged_at + self._limits.dead_after_s:
            raise self._dead()
        if self._pinged_at is None and now >= self._heard_at + self._limits.ping_every_s:
            await self._ping()

    async def _ping(self) -> None:
        await self._transport.send({"type": "ping", "content": {}})
        self._pinged_at = self._pace.now()

    def _dead(self) -> Lost:
        return Lost(f"the server answered no ping for {self._limits.dead_after_s:g} s")

    def _bark(self, watch: Watch) -> None:
        now = self._pace.now()
        if now >= watch.until:
            raise Overdue("time", f"{watch.what} took too long")
        if watch.idle_s is not None and now >= self._told_at + watch.idle_s:
            raise Overdue("idle", f"no event came for {watch.idle_s:g} s")
