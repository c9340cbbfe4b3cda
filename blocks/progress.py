"""How far a step is: to whoever listens in this process, and to Prefect as a progress artifact."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from contextvars import ContextVar
from functools import partial
from typing import Any, ParamSpec, TypeVar

import anyio.to_thread
import structlog

from blocks.errors import Stopped

P = ParamSpec("P")
R = TypeVar("R")

OnProgress = Callable[[float], None]
"""Takes the share done, 0 to 1; raises `Stopped` when the step was cancelled."""

Listener = Callable[[str, float], None]
"""Takes a step's name and the share done."""

listener: ContextVar[Listener | None] = ContextVar("progress_listener", default=None)

notices: ContextVar[Callable[[str], None] | None] = ContextVar("notices", default=None)
"""Takes lines about work that goes on for long; None: nobody listens."""

PUBLISH_EVERY_S = 1.0
PUBLISH_TIMEOUT_S = 5.0
TELL_TIMEOUT_S = 10.0

log = structlog.stdlib.get_logger("c500")


def notice(line: str) -> None:
    """Tell whoever listens in this context a line about work that goes on for long."""
    if (heard := notices.get()) is not None:
        heard(line)


async def in_thread(work: Callable[..., R], *args: Any, **kwargs: Any) -> R:
    """Run blocking work in a thread, so that the event loop stays free; abandon it when cancelled."""
    return await anyio.to_thread.run_sync(partial(work, *args, **kwargs), abandon_on_cancel=True)


@asynccontextmanager
async def repeated(work: Callable[[], Awaitable[None]], every_s: float) -> AsyncGenerator[None]:
    """Do something at once, then every so many seconds until the block ends, and once more at its end."""
    ended = asyncio.Event()

    async def go_on() -> None:
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(ended.wait(), every_s)
                return
            await work()

    await work()
    going = asyncio.create_task(go_on())
    try:
        yield
    finally:
        # Not cancelled: what was cut off might take effect after the last time.
        ended.set()
        await going
        await work()


@asynccontextmanager
async def progress(step: str) -> AsyncGenerator[OnProgress]:
    """Give a callback that work in a thread calls with the share done.

    The share is published about once a second: to the listener of this context and, within a
    Prefect run, as a progress artifact. When the step is cancelled the next call raises `Stopped`,
    which ends work that cannot be interrupted otherwise.
    """
    latest = 0.0
    stopped = threading.Event()

    def on_progress(share: float) -> None:
        nonlocal latest
        if stopped.is_set():
            raise Stopped(f"{step} was cancelled", fix="start the job again; finished steps are kept")
        latest = min(1.0, max(latest, share))

    publisher = asyncio.create_task(_publish(step, lambda: latest))
    try:
        yield on_progress
        latest = 1.0
    finally:
        stopped.set()
        publisher.cancel()
        with suppress(asyncio.CancelledError):
            await publisher


async def _publish(step: str, share: Callable[[], float]) -> None:
    heard = listener.get()
    artifact = await _artifact(step)
    published = -1.0
    try:
        while True:
            if share() > published:
                published = share()
                if heard is not None:
                    heard(step, published)
                await _update(artifact, published)
            await asyncio.sleep(PUBLISH_EVERY_S)
    finally:
        if heard is not None:
            heard(step, share())
        await _update(artifact, share())


async def _artifact(step: str) -> Any:
    """The progress artifact of the step in Prefect; None outside of a run, or when the server is away."""
    from prefect.artifacts import acreate_progress_artifact
    from prefect.context import FlowRunContext

    if FlowRunContext.get() is None:
        return None
    async with only_informing(within_s=PUBLISH_TIMEOUT_S):
        return await acreate_progress_artifact(0.0, key=f"progress-{step}", description=f"share of {step} done")
    return None


async def _update(artifact: Any, share: float) -> None:
    from prefect.artifacts import aupdate_progress_artifact

    if artifact is not None:
        async with only_informing(within_s=PUBLISH_TIMEOUT_S):
            await aupdate_progress_artifact(artifact, progress=round(share * 100, 1))


@asynccontextmanager
async def only_informing(what: str | None = None, within_s: float | None = TELL_TIMEOUT_S) -> AsyncGenerator[None]:
    """Tell Prefect something about the run; a server that is away does not stop it, nor hold it up for long.

    Args:
        what: What is told; when that fails it is logged. None for what is told every second.
        within_s: The longest it may take, in seconds; None for however long.
    """
    import httpx
    from prefect.exceptions import PrefectException

    try:
        async with asyncio.timeout(within_s):
            yield
    except (httpx.HTTPError, PrefectException, TimeoutError) as error:
        if what is not None:
            log.warning("not shown in Prefect", what=what, error=str(error), kind=type(error).__name__)
