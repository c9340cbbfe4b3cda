"""A program with its streams, from its start to its end."""

import asyncio
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from select import PIPE_BUF
from typing import IO

from blocks.errors import BadInput, EngineFailed
from blocks.sandbox.cgroup import Group
from blocks.sandbox.growth import Growth
from blocks.sandbox.launch import LAUNCH_ENV
from blocks.sandbox.output import BoundedOutput
from blocks.sandbox.protocol import Completed, Level, SandboxLimits

READY = b"ready\n"
GO = b"go\n"
START_S = 30.0
"""Seconds a sandbox may take to come up; it takes 10 ms, and more on a machine that swaps."""

FLOOD = 64
"""How many times `output_bytes` a stream may give: to read 2 GB only to throw them away costs us what it costs them."""

LAST_WORDS_S = 1.0
WATCH_EVERY_S = 0.25
WATCH_SHARE = 20
"""Counting the workspace takes at most one part in so many of the time."""

CHUNK_BYTES = 1 << 16


@dataclass(frozen=True, kw_only=True)
class Start:
    """How to start a program.

    Attributes:
        argv: What to start; it writes READY and then waits for GO.
        fds: Open files it gets.
        told: Where bubblewrap tells the process id of the first process within.
        folder: Where it is started; None for the root folder, so that no program learns where we are.
        group: The control group it enters.
    """

    argv: tuple[str, ...]
    fds: tuple[int, ...] = ()
    told: int | None = None
    folder: Path | None = None
    group: Group | None = None


@dataclass(frozen=True, kw_only=True)
class End:
    """How a program ended: what it wrote, and why we killed it, where we did."""

    exit_code: int
    out: BoundedOutput
    err: BoundedOutput
    timed_out: bool
    killed: str | None

    def completed(self, sandbox: Level) -> Completed:
        """For those who had it run."""
        return Completed(
            exit_code=self.exit_code,
            stdout=self.out.text(),
            stderr=self.err.text(),
            timed_out=self.timed_out,
            truncated=bool(self.out.left_out_bytes or self.err.left_out_bytes),
            killed=self.killed,
            sandbox=sandbox,
        )


async def run(start: Start, *, workspace: str, limits: SandboxLimits, stdin: bytes) -> End:
    """Run a program to its end. Nothing of it is left when this returns, raises or is cancelled.

    Raises:
        BadInput: its arguments are too long for the system.
        EngineFailed: it did not come up.
    """
    program = Program(start, limits)
    try:
        await program.ready()
        return await program.finish(stdin, workspace)
    finally:
        try:
            program.kill()
            await program.ended()
        finally:
            program.close()


class Program:
    """A program that runs.

    The signal that ends it should we die goes to the thread that started it (prctl(2), PR_SET_PDEATHSIG); this is the
    event loop's, which lives as long as the run.

    Args:
        start: How to start it.
        limits: What it may use.
    """

    def __init__(self, start: Start, limits: SandboxLimits) -> None:
        self._limits, self._told, self._group = limits, start.told, start.group
        self._init: int | None = None
        self._out, self._err = BoundedOutput(limits.output_bytes), BoundedOutput(limits.output_bytes)
        self._stop: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        try:
            self._process = subprocess.Popen(
                start.argv,
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=start.fds,
                cwd=start.folder or "/",
                env=LAUNCH_ENV,
                start_new_session=True,
            )
        except OSError as error:
            raise BadInput(f"the program cannot be started: {error.strerror}", fix="give shorter arguments") from error
        self._handle = os.pidfd_open(self._process.pid)
        for stream in self._streams:
            os.set_blocking(stream.fileno(), False)

    async def ready(self) -> None:
        """Wait until the sandbox is up; nothing of the user's runs before `finish`. Raises `EngineFailed`."""
        assert self._process.stdout  # noqa: S101 - it is a pipe
        seen = b""
        with suppress(TimeoutError):
            async with asyncio.timeout(START_S):
                while seen != READY and (more := await _read(self._process.stdout.fileno(), len(READY) - len(seen))):
                    seen += more
        if seen != READY:
            raise EngineFailed(
                f"the sandbox did not come up: {await self._complaint()}",
                fix="run `c500 doctor`; look at the memory and the processes of this machine",
            )
        self._look_for_init()

    async def finish(self, stdin: bytes, workspace: str) -> End:
        """Let it run, until it ends or passes a limit."""
        assert self._process.stdin and self._process.stdout and self._process.stderr  # noqa: S101 - they are pipes
        growth = Growth(workspace, self._limits.added_bytes, time.time())
        reading = [
            asyncio.ensure_future(self._keep(self._process.stdout.fileno(), self._out)),
            asyncio.ensure_future(self._keep(self._process.stderr.fileno(), self._err)),
        ]
        others = [asyncio.ensure_future(self._feed(GO + stdin)), asyncio.ensure_future(self._watch(growth))]
        try:
            timed_out, killed = await self._end()
            self.kill()
            await self.ended()
            await asyncio.wait(reading, timeout=LAST_WORDS_S)  # a program that left its group may hold them open
        finally:
            await _cancelled([*reading, *others])
        code = self._process.wait()
        return End(
            exit_code=128 - code if code < 0 else code,
            out=self._out,
            err=self._err,
            timed_out=timed_out,
            killed=killed,
        )

    def kill(self) -> None:
        """End it with all that belongs to it. Does not wait."""
        if self._process.returncode is not None:
            return
        self._look_for_init()
        with suppress(ProcessLookupError):
            if self._init is None:
                os.killpg(self._process.pid, signal.SIGKILL)
            else:
                # The kernel ends the whole namespace with its first process, and bubblewrap waits for that: once it is
                # gone, all are.
                signal.pidfd_send_signal(self._init, signal.SIGKILL)

    async def ended(self) -> None:
        """Wait until it is gone."""
        if self._process.returncode is None:
            await _readable(self._handle)
            if self._init is None:
                with suppress(ProcessLookupError):  # before its id can be another's
                    os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            if self._group:
                self._group.remove()  # with what left the group of processes, and would hold its streams open

    def close(self) -> None:
        """Give back what it held here."""
        for stream in self._streams:
            stream.close()
        for handle in (self._handle, self._init):
            if handle is not None:
                os.close(handle)

    def _look_for_init(self) -> None:
        """Get hold of the first process within, once bubblewrap has told of it."""
        if self._init is None and self._told is not None:
            with suppress(BlockingIOError, ProcessLookupError):
                if told := os.read(self._told, CHUNK_BYTES):
                    self._init = os.pidfd_open(int(json.loads(told)["child-pid"]))

    @property
    def _streams(self) -> list[IO[bytes]]:
        return [stream for stream in (self._process.stdin, self._process.stdout, self._process.stderr) if stream]

    async def _end(self) -> tuple[bool, str | None]:
        """Wait for its end or a reason to bring it about: whether time was up, and the reason."""
        gone = asyncio.ensure_future(_readable(self._handle))
        try:
            await asyncio.wait({gone, self._stop}, timeout=self._limits.wall_s, return_when=asyncio.FIRST_COMPLETED)
            if self._stop.done():
                return False, self._stop.result()
            if not gone.done():
                return True, f"it took longer than {self._limits.wall_s:g} s"
            return False, None
        except asyncio.CancelledError:
            self.kill()  # in this turn of the loop: the next may be late, where it is busy with stopping others
            raise
        finally:
            await _cancelled([gone])

    def _ask_to_stop(self, reason: str) -> None:
        if not self._stop.done():
            self._stop.set_result(reason)

    async def _keep(self, stream: int, kept: BoundedOutput) -> None:
        most = FLOOD * self._limits.output_bytes + CHUNK_BYTES
        while chunk := await _read(stream, CHUNK_BYTES):
            kept.add(chunk)
            if kept.seen_bytes > most:
                return self._ask_to_stop(f"it wrote more than {most} bytes of output")
        return None

    async def _feed(self, content: bytes) -> None:
        assert self._process.stdin  # noqa: S101 - it is a pipe
        rest = memoryview(content)
        with suppress(BrokenPipeError):  # it does not want to read
            while rest:
                await _writable(self._process.stdin.fileno())
                rest = rest[os.write(self._process.stdin.fileno(), rest[:PIPE_BUF]) :]
        self._process.stdin.close()

    async def _watch(self, growth: Growth) -> None:
        pause = WATCH_EVERY_S
        while True:
            await asyncio.sleep(pause)
            begun = time.monotonic()
            if fault := await asyncio.to_thread(growth.fault):
                return self._ask_to_stop(fault)
            pause = max(WATCH_EVERY_S, WATCH_SHARE * (time.monotonic() - begun))

    async def _complaint(self) -> str:
        """What bubblewrap wrote as it gave up."""
        assert self._process.stderr  # noqa: S101 - it is a pipe
        self.kill()
        await self.ended()
        os.set_blocking(self._process.stderr.fileno(), False)
        said = self._process.stderr.read(CHUNK_BYTES) or b""
        return said.decode(errors="replace").strip()[-500:] or f"exit status {self._process.returncode}"


async def _read(stream: int, most: int) -> bytes:
    """The next bytes of a stream, none at its end."""
    while True:
        await _readable(stream)
        with suppress(BlockingIOError):
            return os.read(stream, most)


async def _readable(handle: int) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(handle, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(handle)


async def _writable(handle: int) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_writer(handle, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_writer(handle)


async def _cancelled(tasks: Iterable[asyncio.Future[None]]) -> None:
    """End tasks; what they raised is raised."""
    tasks = list(tasks)
    for task in tasks:
        task.cancel()
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(result, Exception):
            raise result
