"""The manifest of a run while the run goes on: written at each step's beginning and end, by one writer."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from blocks.manifests import Held
from blocks.progress import in_thread
from tasks.ops.runbook.record import RunbookRun, StepRecord

Show = Callable[[RunbookRun], Awaitable[None]]


class Kept:
    """A run in the hands of its only writer; of a dry run nothing is kept.

    Args:
        state: As it stands.
        held: Its manifest; None for a dry run.
        show: Shows it to people.
    """

    def __init__(self, state: RunbookRun, held: Held[RunbookRun] | None, show: Show) -> None:
        self.state = state
        self._held, self._show, self._lock = held, show, asyncio.Lock()

    async def step(self, place: str, record: StepRecord) -> StepRecord:
        """Write down how a step stands. Raises `Fenced`, `StoreFailed`."""
        # Shielded: a cancellation must not leave us with another version than the store has.
        await asyncio.shield(self._written(place, record))
        if record.ended_at is not None or record.kind in ("approve", "wait_until"):
            await self._show(self.state)
        return record

    async def run(self, **facts: Any) -> RunbookRun:
        """Write down how the run stands. Raises `Fenced`, `StoreFailed`."""
        await asyncio.shield(self._changed(facts))
        await self._show(self.state)
        return self.state

    async def check(self) -> None:
        """Make sure that nobody else has taken the run over. Raises `Fenced`."""
        if self._held is not None:
            async with self._lock:
                await in_thread(self._held.check)

    async def _written(self, place: str, record: StepRecord) -> None:
        async with self._lock:
            await self._put(self.state.model_copy(update={"steps": {**self.state.steps, place: record}}))

    async def _changed(self, facts: dict[str, Any]) -> None:
        async with self._lock:
            await self._put(self.state.model_copy(update=facts))

    async def _put(self, state: RunbookRun) -> None:
        if self._held is not None:
            await in_thread(self._held.put, state)
        self.state = state
