"""Models in memory: one at a time, and no longer than it is used."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import anyio
import structlog

from blocks import timeline
from blocks.gpu import Gpu, Peak
from blocks.progress import in_thread
from blocks.transcript import EngineInfo
from blocks.vram import GpuModel

log = structlog.stdlib.get_logger("c500")


class Model(Protocol):
    """An engine of any kind, as far as loading goes."""

    def info(self) -> EngineInfo:
        """Name, version, model and settings."""
        ...

    def load(self) -> None:
        """Bring the model into memory."""
        ...

    def unload(self) -> None:
        """Free everything, also while `load` runs in another thread."""
        ...


M = TypeVar("M", bound=Model)


@dataclass
class Resident:
    """The model kept between its users.

    Attributes:
        loads: How often a model was loaded.
        peak: GPU memory that the model in memory has taken, None when it computes elsewhere.
    """

    loads: int = 0
    peak: Peak | None = None
    _model: Any = None
    _kind: EngineInfo | None = None
    """As the model was asked for; it may have fallen back to something smaller since."""
    _users: int = 0
    _owner: "asyncio.Task[None] | None" = None
    _released: asyncio.Event = field(default_factory=asyncio.Event)
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def enter(self, model: M) -> M:
        """The loaded model of the same kind, or this one, loaded once nobody uses another any more."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._is(model) or not self._users)
            if not self._is(model):
                await self.close()
                await self._load(model)
            self._users += 1
            return self._model

    async def leave(self) -> None:
        """One user less."""
        async with self._changed:
            self._users -= 1
            self._changed.notify_all()

    async def close(self) -> None:
        """Unload what is loaded."""
        self._model = None
        owner, self._owner = self._owner, None
        if owner is not None:
            self._released.set()
            await asyncio.wait([owner])
            if not owner.cancelled() and (error := owner.exception()):
                log.error("model not unloaded cleanly", error=str(error), kind=type(error).__name__)

    async def _load(self, model: Model) -> None:
        kind = model.info()
        ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._released = asyncio.Event()
        owner = self._owner = asyncio.create_task(self._own(model, ready, self._released))
        try:
            await ready
        except asyncio.CancelledError:
            owner.cancel()
            self._owner = None
            with anyio.CancelScope(shield=True):
                await asyncio.wait([owner])
            raise
        self._model, self._kind = model, kind
        self.loads += 1
        log.info("model loaded", engine=kind.name, model=kind.model)

    async def _own(self, model: Model, ready: "asyncio.Future[None]", released: asyncio.Event) -> None:
        """Hold the model in a task of its own: its first user may end long before its last."""
        try:
            async with load(model) as self.peak:
                if not ready.done():
                    ready.set_result(None)
                await released.wait()
        except Exception as error:
            if ready.done():
                raise
            ready.set_exception(error)

    def _is(self, model: Model) -> bool:
        lost = self._owner is None or self._owner.done()  # the slot of the GPU may be lost, and the model with it
        return not lost and self._kind == model.info()


_resident: ContextVar[Resident | None] = ContextVar("resident", default=None)


@asynccontextmanager
async def keep_loaded() -> AsyncGenerator[Resident]:
    """Within, a model stays loaded after its first use, until another is wanted or the block ends."""
    if (outer := _resident.get()) is not None:
        yield outer
        return
    resident = Resident()
    token = _resident.set(resident)
    try:
        yield resident
    finally:
        _resident.reset(token)
        with anyio.CancelScope(shield=True):
            await resident.close()


@asynccontextmanager
async def loaded(model: M) -> AsyncGenerator[M]:
    """A loaded model of this kind: the one that is kept, else this one, unloaded after the block."""
    resident = _resident.get()
    if resident is None:
        async with AsyncExitStack() as stack:
            with timeline.waiting():
                peak = await stack.enter_async_context(load(model))
            yield model
            _note(peak)
        return
    with timeline.waiting():
        entered = await resident.enter(model)
    try:
        yield entered
        _note(resident.peak)
    finally:
        with anyio.CancelScope(shield=True):
            await resident.leave()


def _note(peak: Peak | None) -> None:
    if peak is not None:
        timeline.note_vram(peak.bytes)


@asynccontextmanager
async def load(model: Model) -> AsyncGenerator[Peak | None]:
    """Load a model, holding the GPU if it computes on one, and unload it after the block."""
    need = model.vram() if isinstance(model, GpuModel) else None
    if need is not None and isinstance(model, GpuModel):
        async with Gpu.of_settings().hold(model, need) as peak:
            yield peak
        return
    try:
        await in_thread(model.load)
        yield None
    finally:
        with anyio.CancelScope(shield=True):
            await in_thread(model.unload)
