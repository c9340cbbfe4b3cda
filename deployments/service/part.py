"""One part of the service: a process, its output, and whether it does its work."""

import asyncio
import ctypes
import os
import signal
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import httpx

from deployments.service.part_log import PartLog

DIE_WITH_PARENT = 1
"""`PR_SET_PDEATHSIG` of Linux."""
ANSWER_S = 5.0
"""Seconds a part that is well may take to answer."""
DRAIN_S = 2.0
"""Seconds the output of a part that ended may still take to arrive."""
NO_TRUST = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Parts are asked over plain HTTP; with a trust store, all certificates would be read for every look."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """What is to run.

    Attributes:
        name: What the screen and its log file call it.
        command: What is run; it must hold no secret, since `ps` shows it.
        environment: All its variables.
        health_url: It is ready when this answers 200, and stuck when that stays away for a minute.
        ready_text: Or it is ready when it has printed this.
        ready_within_s: Seconds it may take for it.
        grace_s: Seconds between the polite end and SIGKILL.
        once: It does its work and ends, before the next part starts.
    """

    name: str
    command: tuple[str, ...]
    environment: dict[str, str]
    health_url: str | None = None
    ready_text: str | None = None
    ready_within_s: float = 180
    grace_s: float = 15
    once: bool = False


class PartProcess:
    """The present process of a part.

    Args:
        part: What is to run.
        log_dir: Where its output goes, as `<name>.log`.
    """

    def __init__(self, part: Part, log_dir: Path) -> None:
        self.part = part
        self.log = PartLog(log_dir / f"{part.name}.log")
        self.started_at = 0.0
        self.was_ready = False
        self._process: asyncio.subprocess.Process | None = None
        self._output: asyncio.Task[None] | None = None
        self._printed_ready = False

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.returncode is None

    @property
    def done(self) -> bool:
        """Whether a part that runs once has done its work."""
        return self.part.once and self._process is not None and self._process.returncode == 0

    @property
    def age_s(self) -> float:
        """Seconds since its start."""
        return time.monotonic() - self.started_at

    async def start(self) -> None:
        """Start it; its output goes to the log."""
        self.was_ready = self._printed_ready = False
        self.started_at = time.monotonic()
        # A pipe of our own: with asyncio's, waiting for the process would wait for whoever else holds the other end.
        ours, theirs = os.pipe()
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self.part.command,
                env=self.part.environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=theirs,
                stderr=theirs,
                # Ctrl-C on the terminal shall reach the supervisor alone, which stops the parts in order.
                start_new_session=True,
                preexec_fn=_end_with_parent(os.getpid()),
            )
        finally:
            os.close(theirs)
            self._output = asyncio.create_task(self._copy_output(ours))

    async def ended(self) -> int:
        """Wait for its end and for what it printed last; returns the exit status, negative for a signal."""
        if self._process is None:
            return 0
        code = await self._process.wait()
        self.kill()  # what it has left behind in its group
        if self._output:
            await asyncio.wait([self._output], timeout=DRAIN_S)
        return code

    async def ready(self) -> bool:
        """Whether it does its work now."""
        if self.part.once:
            return self.done
        self.was_ready = self.was_ready or await self.answers()
        return self.was_ready and self.alive

    async def answers(self) -> bool:
        """Whether its health address answers; without one, whether it has printed that it is ready."""
        if not self.alive:
            return False
        if self.part.health_url is None:
            return self.part.ready_text is None or self._printed_ready
        try:
            async with httpx.AsyncClient(timeout=ANSWER_S, trust_env=False, verify=NO_TRUST) as client:
                return (await client.get(self.part.health_url)).is_success
        except httpx.HTTPError:
            return False

    async def stop(self) -> bool:
        """End it politely, then by force; returns whether force was needed."""
        if not self.alive or self._process is None:
            return False
        with suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        forced = False
        try:
            await asyncio.wait_for(self._process.wait(), self.part.grace_s)
        except TimeoutError:
            forced = True
        self.kill()
        await self.ended()
        return forced

    def kill(self) -> None:
        """Kill all of its process group."""
        if self._process:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def close(self) -> None:
        """Write no more output."""
        if self._output:
            self._output.cancel()
        self.log.close()

    async def _copy_output(self, pipe: int) -> None:
        wanted, seen = (self.part.ready_text or "").encode(), b""
        reader = asyncio.StreamReader()
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(pipe, "rb", buffering=0)
        )
        try:
            while chunk := await reader.read(65_536):
                self.log.write(chunk)
                if wanted and not self._printed_ready:
                    seen = (seen + chunk)[-65_536:]
                    self._printed_ready = wanted in seen
        finally:
            transport.close()


def _end_with_parent(parent: int) -> Callable[[], None]:
    """For the child before it becomes the part: end it when the supervisor is gone, even by kill -9."""
    libc = ctypes.CDLL(None)

    def end_with_parent() -> None:
        libc.prctl(DIE_WITH_PARENT, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    return end_with_parent
