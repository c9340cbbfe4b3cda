"""How long each step of a job takes, and what happens in it: for metrics, displays and logs."""

import asyncio
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import structlog

log = structlog.stdlib.get_logger("c500")

OnStep = Callable[[str, bool], None]
"""Takes a step's name and whether it has ended."""

on_step: ContextVar[OnStep | None] = ContextVar("on_step", default=None)


@dataclass
class Timeline:
    """The steps computed for one job in this process, over all the times it was in hand.

    Attributes:
        step_time_s: Wall time of each step computed, in order.
        events: What is written to the job's `log.jsonl`.
        step: The step that began last.
        peak_vram_bytes: Most GPU memory that a model took, None without a GPU.
        waited_s: Seconds in which the job waited for a model, its loading included.
        limit: What stops the job when it takes too long.
    """

    step_time_s: dict[str, float] = field(default_factory=dict[str, float])
    events: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    step: str | None = None
    peak_vram_bytes: int | None = None
    waited_s: float = 0.0
    limit: asyncio.Timeout | None = None
    _spent_s: float = 0.0
    _since: float | None = None

    @property
    def elapsed_s(self) -> float:
        """Seconds in which the job was in hand."""
        return self._spent_s + (0.0 if self._since is None else time.perf_counter() - self._since)

    @contextmanager
    def running(self) -> Generator[None]:
        """Record the steps within."""
        token = current.set(self)
        self._since = time.perf_counter()
        try:
            yield
        finally:
            self._spent_s, self._since = self.elapsed_s, None
            current.reset(token)


current: ContextVar[Timeline | None] = ContextVar("timeline", default=None)


@contextmanager
def waiting() -> Generator[None]:
    """Within, the job waits for what others use: the time does not count against its limit."""
    timeline = current.get()
    limit = timeline.limit if timeline else None
    ends_at = limit.when() if limit else None
    start = time.perf_counter()
    if limit is not None:
        limit.reschedule(None)
    try:
        yield
    finally:
        waited_s = time.perf_counter() - start
        if timeline is not None:
            timeline.waited_s += waited_s
        if limit is not None and ends_at is not None and not limit.expired():
            limit.reschedule(ends_at + waited_s)


def note_vram(peak_bytes: int) -> None:
    """Keep the largest peak of GPU memory that the job saw."""
    if timeline := current.get():
        timeline.peak_vram_bytes = max(timeline.peak_vram_bytes or 0, peak_bytes)


@contextmanager
def measure(step: str) -> Generator[None]:
    """Time one step, tell the display, and write both ends to the log."""
    heard = on_step.get()
    if heard:
        heard(step, False)
    if timeline := current.get():
        timeline.step = step
    log.info("step started", step=step)
    start = time.perf_counter()
    try:
        yield
    except BaseException as error:
        log.error("step failed", step=step, error=str(error), kind=type(error).__name__)
        raise
    took_s = time.perf_counter() - start
    log.info("step finished", step=step, took_s=round(took_s, 3))
    if timeline := current.get():
        timeline.step_time_s[step] = timeline.step_time_s.get(step, 0.0) + took_s
    if heard:
        heard(step, True)
