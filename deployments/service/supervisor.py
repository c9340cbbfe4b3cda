"""Keep the parts of the service running: start in order, restart what dies, stop in reverse."""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from subprocess import SubprocessError
from typing import Any

from blocks.errors import EngineUnavailable
from deployments.service.part import Part, PartProcess

POLL_S = 0.1
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
SETTLED_S = 60.0
"""Seconds a part must have run for its next death to count as its first."""
LOOK_EVERY_S = 10.0
SILENT_S = 60.0
"""Seconds without an answer after which a part that still runs is taken for stuck."""
MOST_DOUBLINGS = 4
"""How often that time is doubled while kills do not help."""

Say = Callable[[str], None]
Between = Callable[[], Awaitable[None]]
Stage = Sequence[Part] | Between


class Supervisor:
    """Runs parts until it is told to stop.

    Args:
        stages: In order: parts that start together, or something to do when what stands before is ready.
        log_dir: Where each has its log file.
        say: Shows a short line to the operator.
    """

    def __init__(self, stages: Sequence[Stage], log_dir: Path, say: Say) -> None:
        self._stages = [
            stage if callable(stage) else [PartProcess(part, log_dir) for part in stage] for stage in stages
        ]
        self._say = say
        self._tasks: list[asyncio.Task[None]] = []

    async def run(self, stop: asyncio.Event) -> None:
        """Start everything, and keep it running until `stop` is set.

        Raises:
            EngineUnavailable: a part did not start, or cannot be kept any more; those that run are stopped.
        """
        startup = asyncio.create_task(self._start_all())
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait([startup, stopping], return_when=asyncio.FIRST_COMPLETED)
            if startup.done():
                startup.result()
                ended, _ = await asyncio.wait([stopping, *self._tasks], return_when=asyncio.FIRST_COMPLETED)
                if stopping not in ended:
                    raise _broken(ended.pop())
        finally:
            ours: list[asyncio.Task[Any]] = [startup, stopping, *self._tasks]
            for task in ours:
                task.cancel()
            await asyncio.wait(ours)
            await self._stop_all()

    def kill(self) -> None:
        """End everything at once."""
        for stage in self._stages:
            for process in () if callable(stage) else stage:
                process.kill()

    async def _start_all(self) -> None:
        for stage in self._stages:
            if callable(stage):
                await stage()
            else:
                await self._start(stage)

    async def _start(self, processes: Sequence[PartProcess]) -> None:
        for process in processes:
            await process.start()
        for process in processes:
            await self._first_ready(process)
            if not process.part.once:
                self._tasks.append(asyncio.create_task(self._keep(process), name=process.part.name))
                if process.part.health_url:
                    self._tasks.append(asyncio.create_task(self._look_after(process), name=process.part.name))

    async def _first_ready(self, process: PartProcess) -> None:
        """Wait until the part is ready, or has done its work."""
        part = process.part
        while not await process.ready():
            if not process.alive and not process.done:
                await process.ended()
            if process.age_s > part.ready_within_s or not (process.alive or process.done):
                raise EngineUnavailable(
                    f"{part.name} did not start: {process.log.last_line or 'it printed nothing'}",
                    fix=f"see {process.log.file}, and run `c500 doctor`",
                )
            await asyncio.sleep(POLL_S)
        self._say(f"{part.name}: {'done' if part.once else 'ready'} after {process.age_s:.1f} s")

    async def _keep(self, process: PartProcess) -> None:
        """Start the part again whenever it ends, after pauses that grow."""
        deaths = 0
        while True:
            code = await process.ended()
            deaths = 1 if process.age_s > SETTLED_S else deaths + 1
            pause_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** (deaths - 1))
            self._say(f"{process.part.name}: {_ending(code)}, starts again in {pause_s:g} s; see {process.log.file}")
            await asyncio.sleep(pause_s)
            await self._start_again(process)

    async def _start_again(self, process: PartProcess) -> None:
        """Start the part, after pauses that grow while the system has no memory, processes or files left."""
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                await process.start()
            except (OSError, SubprocessError) as error:
                self._say(f"{process.part.name}: cannot be started ({error}), tried again in {pause_s:g} s")
                await asyncio.sleep(pause_s)
                pause_s = min(LONGEST_PAUSE_S, pause_s * 2)
            else:
                return

    async def _look_after(self, process: PartProcess) -> None:
        """Kill a part that runs but does not answer; `_keep` starts it again."""
        answered_at = process.age_s
        started_at = process.started_at
        was_away = False
        kills = 0
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            if process.started_at != started_at:
                started_at, answered_at, was_away = process.started_at, 0.0, True
            if await process.ready() and await process.answers():
                answered_at = process.age_s
                kills = kills if answered_at < SETTLED_S else 0
                if was_away:
                    self._say(f"{process.part.name}: answers again after {answered_at:.1f} s")
                    was_away = False
            patience_s = SILENT_S if process.was_ready else process.part.ready_within_s
            # What is only slow, on a machine that has too much to do, would be killed for ever: it gets ever longer
            if process.alive and process.age_s - answered_at > patience_s * 2 ** min(kills, MOST_DOUBLINGS):
                self._say(f"{process.part.name}: does not answer, is killed")
                process.kill()
                kills += 1

    async def _stop_all(self) -> None:
        for stage in reversed(self._stages):
            await asyncio.gather(*(self._stop(process) for process in (() if callable(stage) else stage)))

    async def _stop(self, process: PartProcess) -> None:
        if process.alive:
            forced = await process.stop()
            self._say(f"{process.part.name}: {'killed' if forced else 'stopped'}")
        process.close()


def _broken(keeper: asyncio.Task[Any]) -> EngineUnavailable:
    error = EngineUnavailable(
        f"{keeper.get_name()} is not looked after any more: {keeper.exception()!r}",
        fix="start `c500 up` again, and report the fault",
    )
    error.__cause__ = keeper.exception()
    return error


def _ending(code: int) -> str:
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit status {code}"
