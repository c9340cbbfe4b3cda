"""The forkserver of a worker and its successors."""

import asyncio
import logging
import os
import time
from asyncio import Task
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from prefect.settings import get_current_settings

from blocks.errors import EngineUnavailable
from blocks.settings import Settings
from deployments.warm import code
from deployments.warm.preloaded import Preloaded, open_preloaded
from deployments.warm.starter import RUN_DEFAULTS

CLOSE_TIMEOUT_S = 40.0


@dataclass(eq=False)
class Forkservers:
    """Gives the forkserver that has the code as it lies on disk; replaces it when that changed, or it grew old.

    A replaced one lets its runs finish.
    """

    settings: Settings
    log: "logging.Logger | logging.LoggerAdapter[logging.Logger]"
    tethered: set[str] = field(default_factory=set[str])
    current: Preloaded | None = None
    alive: dict[Preloaded, "Task[None]"] = field(default_factory=dict[Preloaded, "Task[None]"])
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    @asynccontextmanager
    async def lease(self) -> AsyncGenerator[Preloaded | None]:
        """The forkserver to use now, kept as long as it is used; None when none can be started."""
        async with self.lock:
            if why := await self._unfit():
                former = self.current  # its last act is after the other's first: one of them holds the tethers
                self.current = await self._open(why)
                if former:
                    self._dismiss(former)
            leased = self.current
            if leased:
                leased.held += 1
        try:
            yield leased
        finally:
            if leased:
                leased.held -= 1
                self._dismiss(leased)

    def tether(self, key: str, *, on: bool) -> None:
        """Have the processes of an attempt that the worker started itself ended with the worker."""
        (self.tethered.add if on else self.tethered.discard)(key)
        for preloaded in self.alive:
            preloaded.tether(key, on=on)

    async def close(self) -> None:
        """End them all, and every run that is left."""
        self.current = None
        ending = dict(self.alive)
        for preloaded in ending:
            preloaded.close()
        if ending:
            await asyncio.wait(ending.values(), timeout=CLOSE_TIMEOUT_S)
        for preloaded in self.alive:
            preloaded.popen.kill()

    async def renew(self) -> None:
        """Replace the forkserver when it needs it, before a run has to wait for that."""
        async with self.lease() as present:
            why = present and self._worn(present)
        if why and (opened := await self._open(why)):
            async with self.lock:
                former, self.current = self.current, opened
                if former:
                    self._dismiss(former)

    async def _unfit(self) -> str | None:
        """Why the present forkserver must not serve another run."""
        present = self.current
        if present is None:
            return "the worker starts"
        if present.dead:
            return "the one before it ended"
        if await asyncio.to_thread(code.fingerprint, present.ready.roots) != present.fingerprint:
            return "code has changed"
        return None

    def _worn(self, present: Preloaded) -> str | None:
        if present.forked >= self.settings.warm_runs:
            return f"it has started {present.forked} runs"
        if time.time() - present.opened_at_s > self.settings.warm_hours * 3600:
            return f"it is older than {self.settings.warm_hours:g} h"
        grown_mb = (present.memory_bytes - present.loaded_bytes) / 1e6
        if grown_mb > self.settings.warm_memory_mb:
            return f"it has grown by {grown_mb:.0f} MB"
        return None

    async def _open(self, why: str) -> Preloaded | None:
        environment = RUN_DEFAULTS | os.environ | get_current_settings().to_environment_variables(exclude_unset=True)
        try:
            opened = await open_preloaded(self.settings.warm_modules.split(","), environment=environment)
        except EngineUnavailable as error:
            self.log.error("no forkserver, runs start in fresh interpreters: %s", error)
            return None
        self.alive[opened] = asyncio.create_task(self._listen(opened))
        for key in self.tethered:
            opened.tether(key, on=True)
        self.log.info("forkserver %d is ready: %s", opened.popen.pid, why)
        for module, reason in opened.ready.failed.items():
            self.log.warning("runs of %s start in fresh interpreters: %s", module, reason)
        return opened

    def _dismiss(self, former: Preloaded) -> None:
        """Let a forkserver that was replaced end after its last run; what it did not start goes on."""
        if former is not self.current and not former.held:
            for key in self.tethered:
                former.tether(key, on=False)
            former.close()

    async def _listen(self, opened: Preloaded) -> None:
        try:
            await opened.listen()
        finally:
            del self.alive[opened]
