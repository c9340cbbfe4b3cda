"""How long each step of a job takes, and what happens in it: for metrics, displays and logs."""

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
    """The steps computed by one job in this process.

    Attributes:
        started: Clock at the start of the job, seconds.
        step_time_s: Wall time of each step computed, in order.
        events: What is written to the job's `log.jsonl`.
    """

    started: float = field(default_factory=time.perf_counter)
    step_time_s: dict[str, float] = field(default_factory=dict[str, float])
    events: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    @property
    def elapsed_s(self) -> float:
        """Seconds since the start of the job."""
        return time.perf_counter() - self.started


current: ContextVar[Timeline | None] = ContextVar("timeline", default=None)


@contextmanager
def record() -> Generator[Timeline]:
    """Record the steps of one job within the block."""
    token = current.set(Timeline())
    try:
        yield current.get() or Timeline()
    finally:
        current.reset(token)


@contextmanager
def measure(step: str) -> Generator[None]:
    """Time one step, tell the display, and write both ends to the log."""
    heard = on_step.get()
    if heard:
        heard(step, False)
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
