"""The preloaded process of a warm worker: it forks a process for each flow run and waits for it.

It has one thread, so that a fork copies a sound process, and takes orders over one socket. When the
socket closes, its worker is gone: it ends everything that it started, so that no run goes on that
nobody watches and GPUs are free.
"""

import gc
import importlib
import os
import pkgutil
import selectors
import shutil
import signal
import socket
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from types import FrameType
from uuid import uuid4

from deployments.warm import code, forked, kin, trust
from deployments.warm.wire import Ended, Ready, Report, Signal, Start, Started, Tether, line, requests

PRELOADED = (
    "anyio._backends._asyncio",
    "fastapi.encoders",
    "prefect.engine",
    "prefect.flow_engine",
    "prefect.main",
    "prefect.runner._hook_runner",
    "prefect.utilities.visualization",
    "rich._emoji_codes",
)
"""What every run loads, beside the modules that hold the flows."""

LEFTOVER_GRACE_S = 2.0
"""What processes that a run left behind have to end after SIGTERM, before SIGKILL."""

POLL_S = 0.05

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass
class Child:
    """The process of a run."""

    start: Start
    folder: str
    exit_code: int | None = None
    ended_at: float = 0.0


@dataclass
class Forkserver:
    """The loop that forks and waits.

    Attributes:
        loaded_with: The environment in which it loaded the code.
        set_by_imports: What the modules added to it when they were imported, as they would in each run.
    """

    link: socket.socket
    loaded_with: dict[str, str]
    set_by_imports: dict[str, str]
    children: dict[int, Child] = field(default_factory=dict[int, Child])
    tethered: set[str] = field(default_factory=set[str])
    unread: bytes = b""

    def serve(self) -> Start | None:
        """Serve until the worker hangs up.

        Returns:
            In a forked process: what it is to do; None in the forkserver itself.
        """
        woken, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, _wake)
        with selectors.DefaultSelector() as ready:
            ready.register(self.link, selectors.EVENT_READ)
            ready.register(woken, selectors.EVENT_READ)
            while True:
                leaving = any(child.exit_code is not None for child in self.children.values())
                for key, _ in ready.select(POLL_S if leaving else None):
                    if key.fileobj is not self.link:
                        with suppress(BlockingIOError):
                            os.read(woken, 4096)
                    elif (data := self.link.recv(1 << 16)) == b"":
                        self._end_all()
                        return None
                    elif work := self._obey(data):
                        return work
                self._reap()
                self._finish()

    def _obey(self, data: bytes) -> Start | None:
        *lines, self.unread = (self.unread + data).split(b"\n")
        for one in lines:
            match requests.validate_json(one):
                case Start() as start:
                    if self._fork(start):
                        return start
                case Signal() as order:
                    self._signal(order)
                case Tether(do="tether", key=key):
                    self.tethered.add(key)
                case Tether(key=key):
                    self.tethered.discard(key)
        return None

    def _fork(self, start: Start) -> bool:
        """Whether this is the forked process."""
        folder = start.folder or f"{tempfile.gettempdir()}/{uuid4().hex}prefect"
        parent = os.getpid()
        unmasked = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)  # one that comes too early waits for its handler
        try:
            pid = os.fork()
        except OSError:  # no memory, or too many processes: says so by ending what it did not start
            signal.pthread_sigmask(signal.SIG_SETMASK, unmasked)
            self._say(Ended(key=start.key, code=os.EX_OSERR))
            return False
        if pid == 0:
            self.link.close()
            forked.settle(start, parent=parent, folder=folder, loaded_with=self.loaded_with)
            for name, value in self.set_by_imports.items():
                os.environ.setdefault(name, value)
            signal.pthread_sigmask(signal.SIG_SETMASK, unmasked)
            return True
        signal.pthread_sigmask(signal.SIG_SETMASK, unmasked)
        self.children[pid] = Child(start, folder)
        self._say(Started(key=start.key, pid=pid))
        return False

    def _signal(self, order: Signal) -> None:
        """Signal a process group; one that was reaped is left alone, as its number may be another's by now."""
        for pid, child in self.children.items():
            if child.start.key == order.key:
                try:
                    os.killpg(pid, order.number)
                except ProcessLookupError:
                    if child.exit_code is None:  # it leads no group yet
                        kin.send([pid], signal.Signals(order.number))

    def _reap(self) -> None:
        for pid, child in self.children.items():
            if child.exit_code is None:
                reaped, status = os.waitpid(pid, os.WNOHANG)
                if reaped:
                    child.exit_code = os.waitstatus_to_exitcode(status)

    def _finish(self) -> None:
        """Report runs that ended once nothing of them is left."""
        for pid, child in list(self.children.items()):
            if child.exit_code is not None and self._swept(pid, child):
                del self.children[pid]
                _remove(child)
                self._say(Ended(key=child.start.key, code=child.exit_code))

    def _swept(self, pid: int, child: Child) -> bool:
        """Whether nothing of an ended run is left; what is gets SIGTERM, and SIGKILL after a grace."""
        left = kin.kin([child.start.key], [pid])
        now = time.monotonic()
        if not child.ended_at:
            child.ended_at = now
            kin.send(left, signal.SIGTERM)
        elif now > child.ended_at + LEFTOVER_GRACE_S:
            kin.send(left, signal.SIGKILL)
        return not left or now > child.ended_at + kin.END_S

    def _end_all(self) -> None:
        """Kill what the worker has left, and what appears meanwhile."""
        attempts = {child.start.key for child in self.children.values()} | self.tethered
        deadline = time.monotonic() + kin.END_S
        while (left := kin.kin(attempts, list(self.children))) and time.monotonic() < deadline:
            kin.send(left, signal.SIGKILL)
            self._reap()
            time.sleep(POLL_S)
        for child in self.children.values():
            _remove(child)

    def _say(self, report: Report) -> None:
        with suppress(BrokenPipeError, ConnectionResetError):
            self.link.sendall(line(report))


def load(modules: list[str]) -> Ready:
    """Import the modules, and those of packages; what fails is left to fresh interpreters, which say why."""
    failed: dict[str, str] = {}
    for name in (*PRELOADED, *modules):
        failed |= _load(name)
    trust.share_trust_store()
    gc.collect()
    gc.freeze()  # collections in the children would copy all these pages
    return Ready(loaded=sorted(sys.modules), failed=failed, roots=code.roots(failed))


def main() -> None:
    """Serve the worker at the other end of the inherited socket: `main()` with argv `FD MODULE…`."""
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)  # the worker decides when its runs end
    link = socket.socket(fileno=int(sys.argv[1]))
    link.set_inheritable(False)
    before = dict(os.environ)
    ready = load(sys.argv[2:])
    server = Forkserver(link, before, {name: value for name, value in os.environ.items() if name not in before})
    link.sendall(line(ready))
    if start := server.serve():
        del server, link
        forked.run(start)


def _load(name: str) -> dict[str, str]:
    """Import a module, and the modules in it; returns those that failed and why."""
    try:
        module = importlib.import_module(name)
    except Exception as error:  # noqa: BLE001 - recorded: the run that needs the module reports it in full
        return {name: f"{type(error).__name__}: {error}"}
    failed: dict[str, str] = {}
    if name not in PRELOADED:
        for found in pkgutil.iter_modules(getattr(module, "__path__", []), f"{name}."):
            failed |= _load(found.name)
    return failed


def _wake(_number: int, _frame: FrameType | None) -> None:
    """A signal that has a handler is written to the wake-up pipe."""


def _remove(child: Child) -> None:
    if child.start.folder is None:
        shutil.rmtree(child.folder, ignore_errors=True)
