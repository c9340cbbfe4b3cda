"""Looks on while a turn goes on, and calls it off when the task's time or calls are used up."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from blocks.iiagent.events import Event, ToolCall
from blocks.iiagent.session import AgentSession
from tasks.sessions.record import StoppedBy

HURRY_S = 8.0
"""Longest that each of calling off, looking and collecting waits for a server when the task's time is used up."""


class Watch:
    """Takes the events of one session.

    Attributes:
        calls: Calls of tools so far.
        called_off_for: What was used up when the latest turn was called off; else empty.
    """

    def __init__(self) -> None:
        self.calls = 0
        self.called_off_for: StoppedBy = ""
        self._look_until: dict[str, float] = {}
        self._session: AgentSession | None = None
        self._calls_left = 0
        self._calling_off: asyncio.Task[None] | None = None

    def __call__(self, event: Event) -> None:
        """Take an event."""
        if isinstance(event, ToolCall):
            self.calls += 1
            self._calls_left -= 1
            if self._calls_left < 0:
                self._call_off("tool_calls")

    def left_to_look(self, key: str, left_s: float) -> float:
        """Seconds that a turn which has ended may still be looked at; they count from when this is first asked."""
        now = asyncio.get_running_loop().time()
        return self._look_until.setdefault(key, now + left_s) - now

    @asynccontextmanager
    async def over(self, session: AgentSession, *, wall_s: float, calls: int) -> AsyncGenerator[None]:
        """Within, the session's turn may take so long and make so many calls."""
        self._session, self._calls_left, self._calling_off, self.called_off_for = session, calls, None, ""
        timer = asyncio.get_running_loop().call_later(max(0.0, wall_s), self._call_off, "wall_clock")
        try:
            yield
        finally:
            timer.cancel()
            self._session = None
            calling_off: asyncio.Task[None] | None = self._calling_off
            if calling_off is not None:
                await calling_off

    def _call_off(self, why: StoppedBy) -> None:
        if self._session is not None and self._calling_off is None:
            self.called_off_for = why
            within_s = HURRY_S if why == "wall_clock" else None
            self._calling_off = asyncio.create_task(self._session.cancel(within_s))
