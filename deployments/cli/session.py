"""Run a flow from the command line, with or without a Prefect server, and show how it goes."""

import asyncio
import os
import sys
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from deployments.server import TUNING, use_server

R = TypeVar("R")

QUIET = {
    # The display shows the steps; Prefect's own lines go to its server, and to the screen with --debug.
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
}


def run_flow(start: Callable[[], Coroutine[Any, Any, R]], *, quiet: bool) -> R:
    """Run the flow that `start` calls; Prefect must not have been imported before.

    Args:
        start: Imports a flow and calls it.
        quiet: Show nothing.
    """
    debug = "--debug" in sys.argv
    for name, value in (TUNING if debug else TUNING | QUIET).items():
        os.environ.setdefault(name, value)
    console = Console(stderr=True, quiet=quiet or debug)
    with Display(console) as display, display.listening():
        step = "reach Prefect" if os.environ.get("PREFECT_API_URL") else "start Prefect"
        display.on_step(step, False)
        with use_server():
            flow = start()
            display.on_step(step, True)
            return _ran(flow)


def _ran(flow: Coroutine[Any, Any, R]) -> R:
    """What comes of a flow. Raises `EngineUnavailable`: Prefect's server went away, and did not come back in time."""
    from blocks.errors import EngineUnavailable
    from flows.running import is_server_lost

    try:
        return asyncio.run(flow)
    except Exception as error:
        if not is_server_lost(error):
            raise
        raise EngineUnavailable(
            f"Prefect's server at {os.environ.get('PREFECT_API_URL')} went away while the run was at work",
            fix="see that it runs again (`c500 doctor`), then go on with the run: what was done is kept",
        ) from error


class Display:
    """One line a step: a bar on a terminal, plain words elsewhere."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bars = Progress(
            SpinnerColumn(finished_text="✓"),
            TextColumn("{task.description:16}"),
            BarColumn(bar_width=30),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._lines: dict[str, TaskID] = {}

    def __enter__(self) -> "Display":
        self._bars.start()
        _shown.set(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    @contextmanager
    def aside(self) -> Generator[None]:
        """Within, the screen belongs to somebody else."""
        self._bars.stop()
        try:
            yield
        finally:
            self._bars.start()

    def on_step(self, step: str, ended: bool) -> None:
        """A step has begun or ended."""
        if step not in self._lines or (not ended and self._bars.tasks[self._lines[step]].finished):
            self._lines[step] = self._bars.add_task(step, total=None)
        if ended:
            self._bars.update(self._lines[step], total=1, completed=1)
            if not self._console.is_terminal:
                self._console.print(f"{step}: done")

    def on_progress(self, step: str, share: float) -> None:
        """A step has come so far."""
        if step in self._lines:
            self._bars.update(self._lines[step], total=1, completed=share)

    def on_notice(self, line: str) -> None:
        """There is something to say about work that goes on for long."""
        from blocks.plain_text import plain

        self._console.print(plain(line), markup=False, highlight=False, soft_wrap=True)

    @contextmanager
    def listening(self) -> Generator[None]:
        """Show what the steps within report."""
        from blocks import progress, timeline

        steps, shares = timeline.on_step.set(self.on_step), progress.listener.set(self.on_progress)
        lines = progress.notices.set(self.on_notice)
        try:
            yield
        finally:
            progress.notices.reset(lines)
            timeline.on_step.reset(steps)
            progress.listener.reset(shares)


_shown: ContextVar[Display | None] = ContextVar("display", default=None)


@contextmanager
def aside() -> Generator[None]:
    """Within, a flow that `run_flow` runs may talk with the user."""
    if (display := _shown.get()) is None:
        yield
        return
    with display.aside():
        yield
