"""Waiting for runs to change: one question to Prefect at a time for all who wait, none while nobody does."""

import asyncio
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from uuid import UUID

import httpx
import structlog
from prefect.client.orchestration import PrefectClient

from blocks.runs import JobRun, RunStatus, read_runs
from deployments.gateway.answers.ownership import unknown

POLL_S = 0.3
LONGEST_POLL_S = 3.0
"""While Prefect does not answer."""
ASKED_AT_ONCE = 100


IN_TIME: tuple[RunStatus, ...] = (
    "PREPROCESSING",
    "PROCESSING_ASR",
    "PROCESSING_LLM",
    "PENDING",
    "COMPLETE",
    "FAILED",
)
"""Statuses in the order an attempt has them; PENDING then waits for the next attempt."""


@dataclass(eq=False)
class _Watched:
    """A run, how many wait for it, and what is told of it."""

    run: JobRun
    waiting: int = 0
    gone: bool = False
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def tell(self, run: JobRun | None) -> None:
        """Wake who waits if there is news, which an answer that was overtaken is not; None: the run is no more."""
        if run is None:
            self.gone = True
        elif run == self.run or _age(run) < _age(self.run):
            return
        else:
            self.run = run
        self.changed.set()
        self.changed = asyncio.Event()


class Watcher:
    """Tells of changes of runs.

    A Prefect server that does not answer is asked again and again: who waits goes on waiting.

    Args:
        prefect: The connection with the Prefect server.
    """

    def __init__(self, prefect: PrefectClient) -> None:
        self._prefect = prefect
        self._watched: dict[UUID, _Watched] = {}
        self._polling: asyncio.Task[None] | None = None
        self._away = False

    async def changes(self, run: JobRun) -> AsyncGenerator[JobRun]:
        """The run whenever it differs from before, until it is finished. Raises `TaskNotFound` when it is deleted."""
        with self._watch(run) as watched:
            while not run.finished:
                while watched.run == run:
                    if watched.gone:
                        raise unknown(str(run.run_id))
                    await watched.changed.wait()
                run = watched.run
                yield run

    async def wait_for_status(self, run: JobRun, timeout_s: float) -> JobRun:
        """The run as soon as its status is another one, else as it is after `timeout_s`."""
        latest = run
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                async for latest in self.changes(run):
                    if latest.status != run.status:
                        break
        return latest

    async def wait_for_end(self, run: JobRun) -> JobRun:
        """The run when it is finished."""
        async for changed in self.changes(run):
            run = changed
        return run

    async def close(self) -> None:
        """Stop asking."""
        if self._polling is not None:
            self._polling.cancel()
            with suppress(asyncio.CancelledError):
                await self._polling

    @contextmanager
    def _watch(self, run: JobRun) -> Generator[_Watched]:
        watched = self._watched.setdefault(run.run_id, _Watched(run))
        if _age(run) > _age(watched.run):
            watched.tell(run)
        watched.waiting += 1
        if self._polling is None or self._polling.done():
            self._polling = asyncio.create_task(self._poll())
        try:
            yield watched
        finally:
            watched.waiting -= 1
            if not watched.waiting:
                self._watched.pop(run.run_id, None)

    async def _poll(self) -> None:
        pause_s = POLL_S
        while self._watched:
            # Not faster than Prefect answers: a slow server gets longer pauses.
            await asyncio.sleep(pause_s)
            begun = time.monotonic()
            answered = await self._ask()
            pause_s = max(POLL_S, time.monotonic() - begun) if answered else min(LONGEST_POLL_S, pause_s * 2)

    async def _ask(self) -> bool:
        """Read all runs and tell of the changes; whether Prefect answered."""
        wanted = list(self._watched)
        try:
            for start in range(0, len(wanted), ASKED_AT_ONCE):
                page = wanted[start : start + ASKED_AT_ONCE]
                found = await read_runs(self._prefect, page)
                for run_id in page:
                    if run_id in self._watched:
                        self._watched[run_id].tell(found.get(run_id))
        except Exception as error:
            if not self._away:
                log = structlog.stdlib.get_logger("c500")
                if isinstance(error, httpx.HTTPError):
                    log.warning("prefect does not answer", error=type(error).__name__)
                else:
                    log.error("runs cannot be watched", exc_info=error)
            self._away = True
            return False
        self._away = False
        return True


def _age(run: JobRun) -> tuple[int, int]:
    """How far a run has come; never less at a later time."""
    return run.attempts, min(IN_TIME.index(run.status), IN_TIME.index("COMPLETE"))
