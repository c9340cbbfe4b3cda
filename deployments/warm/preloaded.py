"""A forkserver as its worker sees it."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from asyncio import StreamReader, StreamWriter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from pydantic import BaseModel

from blocks.errors import EngineUnavailable
from deployments.warm import code, kin
from deployments.warm.wire import Ended, Ready, Signal, Start, Started, Tether, line, reports

LOAD_TIMEOUT_S = 120.0

PROGRAM = """
import sys
if sys.path and sys.path[0] == "":
    del sys.path[0]  # a run's own folder goes there, not the worker's
from deployments.warm.forkserver import main
main()
"""


@dataclass(eq=False)
class Process:
    """The process of a run, as Prefect's runner wants to see it.

    Attributes:
        returncode: Exit code or negative signal number, once it has ended.
    """

    start: Start
    pid: int | None = None
    returncode: int | None = None
    started: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(eq=False)
class Preloaded:
    """A forkserver that is loaded and ready; make one with `open_preloaded`."""

    popen: "subprocess.Popen[bytes]"
    reader: StreamReader
    writer: StreamWriter
    ready: Ready
    environment: dict[str, str]
    fingerprint: code.Fingerprint
    opened_at_s: float
    loaded_bytes: int = 0
    processes: dict[str, Process] = field(default_factory=dict[str, Process])
    forked: int = 0
    held: int = 0
    dead: bool = False

    async def fork(self, start: Start) -> Process:
        """Have a process forked.

        Raises:
            EngineUnavailable: It could not be.
        """
        process = Process(start)
        if not self.dead:
            self.processes[start.key] = process
            self.forked += 1
            self.send(start)
            await process.started.wait()
        if process.pid is None:
            raise EngineUnavailable(
                "no process could be forked for the run",
                fix="look at the machine's free memory and its limit of processes",
            )
        return process

    def close(self) -> None:
        """Hang up: it ends, with whatever it still runs."""
        self.writer.close()

    def send(self, message: BaseModel) -> None:
        """Give an order; one that comes too late is void."""
        if not self.writer.is_closing():
            self.writer.write(line(message))

    def signal(self, process: Process, number: signal.Signals) -> None:
        """Signal the process and its group."""
        self.send(Signal(key=process.start.key, number=number))

    def tether(self, key: str, *, on: bool) -> None:
        """Have the processes of an attempt ended with the worker."""
        self.send(Tether(do="tether" if on else "untether", key=key))

    @cached_property
    def loaded(self) -> frozenset[str]:
        """Names of the modules that it has loaded."""
        return frozenset(self.ready.loaded)

    @property
    def memory_bytes(self) -> int:
        """Resident memory; 0 when it is gone."""
        try:
            pages = Path(f"/proc/{self.popen.pid}/statm").read_text().split()[1]
        except OSError:
            return 0
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    async def listen(self) -> None:
        """Take its reports until it ends, then end the runs that it can no longer report."""
        try:
            with suppress(ConnectionResetError):
                while text := await self.reader.readline():
                    self._note(text)
        finally:
            self.dead = True
            self.close()
            await asyncio.gather(*(_lose(process) for process in self.processes.values()))
            await asyncio.to_thread(self.popen.wait)

    def _note(self, text: bytes) -> None:
        match reports.validate_json(text):
            case Started(key=key, pid=pid):
                process = self.processes[key]
                process.pid = pid
                process.started.set()
            case Ended(key=key, code=exit_code):
                _end(self.processes.pop(key), exit_code)
            case Ready():
                pass


async def open_preloaded(modules: Sequence[str], *, environment: dict[str, str]) -> Preloaded:
    """Start a forkserver and wait until it has loaded the modules.

    Raises:
        EngineUnavailable: It ended or did not load them in time.
    """
    ours, theirs = socket.socketpair()
    opened_at_s = time.time()
    with theirs:
        popen = subprocess.Popen(  # noqa: ASYNC220 - asyncio's own would wait for it in a thread
            [sys.executable, "-c", PROGRAM, str(theirs.fileno()), *modules],
            stdin=subprocess.DEVNULL,
            env=environment,
            cwd="/",  # the worker's own may hold settings that are not for its runs
            pass_fds=[theirs.fileno()],
            start_new_session=True,  # Ctrl-C is for the worker
        )
    reader, writer = await asyncio.open_connection(sock=ours, limit=1 << 22)
    try:
        async with asyncio.timeout(LOAD_TIMEOUT_S):
            ready = Ready.model_validate_json(await reader.readline())
    except (TimeoutError, ValueError) as error:
        writer.close()
        popen.kill()
        popen.wait()
        raise EngineUnavailable("the forkserver of the worker did not start", fix="see what it wrote above") from error
    fingerprint = await asyncio.to_thread(code.fingerprint, ready.roots)
    if any(opened_at_s < changed_ns / 1e9 <= time.time() for _, changed_ns, _ in fingerprint):
        fingerprint: code.Fingerprint = frozenset()  # changed while it was loaded: fits nothing
    opened = Preloaded(popen, reader, writer, ready, environment, fingerprint, opened_at_s)
    opened.loaded_bytes = opened.memory_bytes
    return opened


def _end(process: Process, exit_code: int) -> None:
    if process.pid is not None:
        process.returncode = exit_code
    process.started.set()
    process.ended.set()


async def _lose(process: Process) -> None:
    """End a run whose forkserver is gone: its process has got SIGKILL from the kernel, what it started has not."""
    leaders = [] if process.pid is None else [process.pid]
    deadline = time.monotonic() + kin.END_S
    while (left := await asyncio.to_thread(kin.kin, [process.start.key], leaders)) and time.monotonic() < deadline:
        kin.send(left, signal.SIGKILL)
        await asyncio.sleep(0.05)
    _end(process, -signal.SIGKILL)
