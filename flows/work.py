"""Jobs on their way through the stages of a flow."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import wraps
from typing import TypeVar

import structlog

from blocks import progress, timeline
from blocks.audio import AudioInfo
from blocks.batch import BatchItem, Outcome
from blocks.errors import BadAudio, C500Error, TimedOut, TooLarge
from blocks.job import Job, JobOptions, JobResult, Notice, Status
from blocks.settings import settings
from blocks.store import open_store
from blocks.store.files import FileRef
from blocks.timeline import Timeline

AUDIO_TIME_SHARE = 1.0
"""Seconds a job may take for each second of audio, on top of JOB_TIMEOUT."""

OUTCOMES: dict[Status, Outcome] = {"complete": "done", "partial": "partial", "no_speech": "no_speech"}


@dataclass(kw_only=True)
class Work:
    """One job: what was asked for, and what its stages have made so far.

    Attributes:
        source: Path, address or name of the input.
        options: What to do with it.
        refresh: Whether to compute again whatever is stored.
        sharing: How many jobs are in hand at once; each gets so much more time.
        result: Set when the job is finished, or was found finished; later stages then do nothing.
        failure: Set when a job of a batch failed; later stages then do nothing.
    """

    source: str
    options: JobOptions
    refresh: bool
    sharing: int = 1
    timeline: Timeline = field(default_factory=Timeline)
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    job: Job = field(init=False)
    transcript: FileRef = field(init=False)
    enhanced: FileRef | None = None
    summary: FileRef | None = None
    notices: tuple[Notice, ...] = ()

    result: JobResult | None = None
    failure: BatchItem | None = None

    @property
    def limit_s(self) -> float:
        """Seconds the job may be in hand."""
        return settings().job_timeout * self.sharing

    @property
    def finished(self) -> JobResult:
        """The result of a job that went through all stages."""
        if self.result is None:
            raise TypeError("the job has not been finished")
        return self.result

    @property
    def item(self) -> BatchItem:
        """What came of it, as a row of the batch's report."""
        if self.failure is not None:
            return self.failure
        found = self.finished.status == "complete" and self.finished.finished_at < self.started_at
        outcome: Outcome = "found" if found else OUTCOMES[self.finished.status]
        return BatchItem(source=self.source, outcome=outcome, job_id=self.finished.job_id)

    def fail(self, error: Exception) -> None:
        """Record why this job of a batch cannot go on."""
        if isinstance(error, C500Error):
            code, message, fix = error.code, error.message, error.fix
        else:
            code, message, fix = type(error).__name__, str(error), "see the log of the flow run, and report it"
        self.failure = BatchItem(source=self.source, outcome="failed", code=code, message=message, fix=fix)


@dataclass(kw_only=True)
class Recording(Work):
    """A job whose input is audio.

    Attributes:
        info: What its container says.
        audio: The decoded audio.
        speech: Where there is speech in it.
        recognised: What the speech engine heard.
    """

    info: AudioInfo = field(init=False)
    audio: FileRef = field(init=False)
    speech: FileRef = field(init=False)
    recognised: FileRef = field(init=False)

    @property
    def limit_s(self) -> float:
        """JOB_TIMEOUT beyond the length of the audio."""
        info: AudioInfo | None = getattr(self, "info", None)
        return super().limit_s + AUDIO_TIME_SHARE * ((info and info.duration_s) or 0.0) * self.sharing


W = TypeVar("W", bound=Work)
Stage = Callable[[W], Awaitable[None]]


def stage(function: Stage[W]) -> Stage[W]:
    """Make an async function a stage: it is timed and limited, and passes over jobs that are finished or failed."""

    @wraps(function)
    async def staged(work: W) -> None:
        if work.result is None and work.failure is None:
            async with _in_hand(work):
                await function(work)

    return staged


async def each(works: Sequence[W], *stages: Stage[W], name: str, at_once: int) -> None:
    """Take every job through the stages, several at once; a failure ends the way of that job only.

    Args:
        works: The jobs, in order.
        stages: What to do with each.
        name: What the display calls it.
        at_once: How many jobs are in hand.
    """
    slots = asyncio.Semaphore(at_once)
    ended = 0

    async def through(work: W) -> None:
        nonlocal ended
        async with slots:
            work.sharing = max(work.sharing, min(at_once, len(works)))
            try:
                for one in stages:
                    await one(work)
            except Exception as error:  # noqa: BLE001 - recorded: one job must not stop the others
                work.fail(error)
        ended += 1
        if heard := progress.listener.get():
            heard(name, ended / len(works))

    if on_step := timeline.on_step.get():
        on_step(name, False)
    await asyncio.gather(*(_without_display(through(work)) for work in works))
    if on_step:
        on_step(name, True)


async def _without_display(work: Awaitable[None]) -> None:
    """The steps of many jobs at once would only flicker."""
    timeline.on_step.set(None)
    await work


@asynccontextmanager
async def _in_hand(work: Work) -> AsyncGenerator[None]:
    """Record the steps within; stop them when the job has been in hand for too long.

    An input that turns out to be unusable is removed from the store again.

    Raises:
        TimedOut: the job took longer than its limit.
    """
    guard = asyncio.timeout(None)
    job: Job | None = getattr(work, "job", None)
    try:
        with work.timeline.running(), structlog.contextvars.bound_contextvars(job_id=job and job.job_id):
            left_s = work.limit_s - (work.timeline.elapsed_s - work.timeline.waited_s)
            async with asyncio.timeout(left_s) as guard:
                work.timeline.limit = guard
                try:
                    yield
                finally:
                    work.timeline.limit = None
    except TimeoutError as error:
        late = guard.expired()
        what = f"the job took longer than {work.limit_s:.0f} s" if late else f"a step took too long: {error}"
        raise TimedOut(what, fix="raise JOB_TIMEOUT, or use a faster engine; finished steps are kept") from error
    except (BadAudio, TooLarge):
        if job is not None:
            open_store().delete(job.source.key)
        raise
