"""A fleet at work: jobs to servers, as many at once as the plan permits, away from servers that fail."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import structlog
from prefect import task
from prefect.cache_policies import NO_CACHE

from blocks.errors import (
    C500Error,
    EngineFailed,
    EngineUnavailable,
    LimitReached,
    NotAllowed,
    Stopped,
    TimedOut,
    Unsupported,
)
from blocks.iiagent.faults import ErrorKind
from blocks.iiagent.server import AgentServer
from blocks.progress import in_thread, notices
from blocks.runs.record import INTERNAL_ERROR
from tasks.sessions.fleet_books import FleetBooks, JobResult
from tasks.sessions.fleet_jobs import ReadyJob
from tasks.sessions.fleet_plan import FleetOptions, FleetPlan
from tasks.sessions.perform import perform

OF_THE_SERVER: frozenset[ErrorKind] = frozenset(
    {"key", "rate", "server", "busy", "not_initialized", "protocol", "fatal", "lost", "idle"}
)
"""Errors of turns that another server may not have; the others come with the job."""

SERVER_ERRORS = (EngineUnavailable, EngineFailed, TimedOut, Unsupported, NotAllowed, LimitReached)


log = structlog.stdlib.get_logger("c500")


@dataclass
class Place:
    """A server of a fleet.

    Attributes:
        server: Which.
        sessions: At once at most.
        busy: At work.
        failures: In a row.
        next_start: When the next session may begin.
        ended: Jobs that ended here.
    """

    server: AgentServer
    sessions: int
    busy: int = 0
    failures: int = 0
    next_start: float = 0.0
    ended: int = 0


@dataclass
class Waiting:
    """A job that waits for a server.

    Attributes:
        job: Which.
        tried: Servers that have failed it, with how.
    """

    job: ReadyJob
    tried: dict[str, JobResult] = field(default_factory=dict[str, JobResult])


@dataclass
class FleetRun:
    """A fleet at work.

    Attributes:
        plan: How much at once.
        options: How it is run.
        books: What is kept.
        into: Folder for the files of all; None: the store.
        again: Whether jobs that were given up have a new allowance.
        results: What came of the jobs, by name.
        quarantined: Servers that get no more jobs, with why.
        now, sleep: Time.
    """

    plan: FleetPlan
    servers: Sequence[AgentServer]
    options: FleetOptions
    books: FleetBooks
    into: Path | None = None
    again: bool = False
    results: dict[str, JobResult] = field(default_factory=dict[str, JobResult])
    quarantined: dict[str, str] = field(default_factory=dict[str, str])
    on_end: Callable[["FleetRun"], Coroutine[Any, Any, None]] | None = None
    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Coroutine[Any, Any, None]] = asyncio.sleep

    def __post_init__(self) -> None:
        shares = {share.server: share.sessions for share in self.plan.servers}
        self.places = {
            server.name: Place(server, shares[server.name]) for server in self.servers if server.name in shares
        }

    async def work(self, jobs: Sequence[ReadyJob]) -> None:
        """Do the jobs, or as many as can be done.

        Raises:
            StoreFailed: the books cannot be written.
            Stopped: the run was stopped.
        """
        waiting = [Waiting(job) for job in jobs]
        going: dict[asyncio.Task[JobResult], tuple[Waiting, Place]] = {}
        try:
            while waiting or going:
                self._give_up(waiting)
                while len(going) < self.plan.slots and (pair := self._next(waiting)) is not None:
                    one, place = pair
                    waiting.remove(one)
                    await in_thread(self.books.assign, one.job, place.server.name)
                    place.busy += 1
                    going[asyncio.create_task(self._job(one, place))] = pair
                if not going:
                    continue
                ended, _ = await asyncio.wait(going, return_when=asyncio.FIRST_COMPLETED)
                for each in ended:
                    one, place = going.pop(each)
                    place.busy -= 1
                    await self._ended(one, place, each.result(), waiting)
        finally:
            for each in going:
                each.cancel()
            await asyncio.gather(*going, return_exceptions=True)

    def _next(self, waiting: Sequence[Waiting]) -> tuple[Waiting, Place] | None:
        """A job that can begin, and where: it stays where its session is, else goes where most is free."""
        for one in waiting:
            kept = self.books.server_of(one.job)
            places = self._open_to(one)
            if kept is not None and any(place.server.name == kept for place in places):
                places = [self.places[kept]]
            free = [place for place in places if place.busy < place.sessions]
            if free:
                return one, max(free, key=lambda place: (place.sessions - place.busy) / place.sessions)
        return None

    def _open_to(self, one: Waiting) -> list[Place]:
        """Servers that a job may still go to."""
        only = one.job.job.server
        return [
            place
            for name, place in self.places.items()
            if name not in self.quarantined and name not in one.tried and only in (None, name) and place.sessions
        ]

    def _give_up(self, waiting: list[Waiting]) -> None:
        """Take out the jobs that no server is left for."""
        for one in [one for one in waiting if not self._open_to(one)]:
            waiting.remove(one)
            latest = list(one.tried.values())[-1:]
            why = "; ".join(f"{name}: {reason}" for name, reason in self.quarantined.items()) or "none can carry it"
            self.results[one.job.name] = (
                latest[0]
                if latest
                else JobResult(
                    name=one.job.name, job_id=one.job.job_id, error=f"no server is left to run it on ({why})"
                )
            )

    async def _job(self, one: Waiting, place: Place) -> JobResult:
        """One job on one server."""
        start = max(self.now(), place.next_start)
        place.next_start = start + self.options.start_every_s
        if (pause_s := start - self.now()) > 0:
            await self.sleep(pause_s)
        notices.set(None)  # lines of many jobs at once would tell nobody anything
        return await job_step(one.job.name, partial(self._performed, one, place.server))

    async def _performed(self, one: Waiting, server: AgentServer) -> JobResult:
        """A job on a server; what goes wrong is its result, so that the others go on."""
        asked = one.job.task_on(server.name, self.into, again=self.again)
        ended = JobResult(
            name=one.job.name,
            job_id=one.job.job_id,
            server=server.name,
            tried=tuple(one.tried),
            collects=one.job.collects(self.into),
        )
        try:
            return ended.model_copy(update={"result": await perform(asked, server)})
        except Stopped:
            raise
        except C500Error as error:
            told = f"{error.code}: {error.message} ({error.fix})"
            return ended.model_copy(update={"error": told, "servers_fault": isinstance(error, SERVER_ERRORS)})
        except Exception as error:  # a fault of ours in one job
            log.exception("a job of a fleet broke off", job=one.job.name)
            return ended.model_copy(update={"error": f"{INTERNAL_ERROR}: {type(error).__name__}: {error}"})

    async def _ended(self, one: Waiting, place: Place, result: JobResult, waiting: list[Waiting]) -> None:
        name = place.server.name
        await in_thread(self.books.keep, result)
        place.ended += 1
        if not _servers_fault(result):
            place.failures = 0
            self.results[one.job.name] = result
        else:
            place.failures += 1
            if place.failures >= self.options.quarantine_after:
                self.quarantined.setdefault(name, f"{place.failures} failures in a row, the last: {result.told[:300]}")
            one.tried[name] = result
            waiting.insert(0, one)  # `_give_up` takes it out where no other server is left
        if self.on_end is not None:
            await self.on_end(self)


@task(name="fleet-job", task_run_name="{job_name}", cache_policy=NO_CACHE, persist_result=False)
async def job_step(job_name: str, work: Callable[[], Coroutine[Any, Any, JobResult]]) -> JobResult:
    """A job, under its name."""
    return await work()


def _servers_fault(result: JobResult) -> bool:
    """Whether a job failed for its server's sake."""
    if result.result is None:
        return result.servers_fault
    error = result.result.outcome.error
    return error is not None and error.kind in OF_THE_SERVER
