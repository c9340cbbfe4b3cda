"""A model in a process of its own: whatever it took is free when the process ends.

Threads cannot be interrupted while a model loads or computes, and libraries keep GPU memory after
their objects are gone. A process can be killed at any moment, and the driver takes everything back.
"""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import IO, Any

import structlog

from blocks import errors
from blocks.errors import C500Error, EngineFailed, Stopped
from blocks.progress import OnProgress

log = structlog.stdlib.get_logger("c500")

TICK_S = 0.25
"""How often a caller that waits looks whether it was cancelled."""

LINES_KEPT = 20
"""Last lines of what the process printed: the only trace of a crash in a native library."""

OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
"""Nothing is fetched when a model loads; `c500 models pull` does that."""

KEEP_MEMORY = {"MALLOC_TRIM_THRESHOLD_": str(1 << 30), "MALLOC_MMAP_THRESHOLD_": str(32 << 20)}
"""glibc gives the buffers of every batch back to the kernel and asks for them again: a sixth of the time of a small
Whisper on a CPU (measured). All of it goes back when the process ends. 32 MB is the most that glibc takes."""

Message = dict[str, Any]


class ProcessDied(EngineFailed):
    """The process of a model ended by itself."""


class ModelProcess:
    """One loaded model; its methods may be called from several threads.

    Args:
        name: What errors call it.
        runtime: `module:class` of its `Runtime`.
        config: Gives the keyword arguments of the class, as JSON values; asked at every start.
        environment: Variables added to this process's own.
    """

    def __init__(
        self, name: str, runtime: str, config: Callable[[], dict[str, Any]], environment: dict[str, str] | None = None
    ) -> None:
        self._name = name
        self._runtime = runtime
        self._config = config
        self._environment = os.environ | OFFLINE | KEEP_MEMORY | (environment or {})
        self._lock = threading.Lock()
        self._starting = threading.Lock()
        self._writing = threading.Lock()
        self._again = threading.Lock()
        self._stopped = False
        self._child: subprocess.Popen[str] | None = None
        self._answers: dict[int, queue.SimpleQueue[Message]] = {}
        self._numbers = 0
        self._printed: deque[str] = deque(maxlen=LINES_KEPT)
        self.facts: dict[str, Any] = {}
        self._busy_s = 0.0
        self._asked_at: float | None = None
        self._told_at = 0.0

    @property
    def idle_share(self) -> float | None:
        """Share of the time from the first request to the last answer in which the model had nothing to do."""
        if self._asked_at is None or self._told_at <= self._asked_at:
            return None
        return max(0.0, 1 - self._busy_s / (self._told_at - self._asked_at))

    @property
    def pid(self) -> int | None:
        """The process, None when it does not run."""
        child = self._child
        return child.pid if child and child.poll() is None else None

    def start(self) -> None:
        """Load the model; nothing happens when it is loaded. `stop` from another thread ends it.

        Raises:
            C500Error: what the runtime says; `EngineFailed` when the process died.
            Stopped: it was stopped; a process that was stopped does not start again.
        """
        with self._starting:
            if self.pid is not None:
                return
            self._end()  # what may be left of one that died
            config = self._config()
            with self._lock:
                if self._stopped:
                    raise _error(_STOPPED)
                child = self._child = self._spawn()
            self._write(child, {"runtime": self._runtime, "config": config})
            self._load(child)

    def call(self, request: dict[str, Any], on_progress: OnProgress) -> dict[str, Any]:
        """Have one request computed.

        When the process dies, whichever of the requests in hand was at fault, each is tried once more: one after
        the other, in a new process.

        Args:
            request: JSON values, as the runtime takes them.
            on_progress: Called several times a second with the share done; may raise `Stopped`.

        Raises:
            C500Error: what the runtime says; `EngineFailed` when the process died twice.
        """
        try:
            return self._call(request, on_progress)
        except ProcessDied as error:
            log.warning("model process died", name=self._name, error=error.message)
        with self._again:
            self.start()
            return self._call(request, on_progress)

    def restart(self) -> None:
        """End the process and load the model again, with the configuration as it is now."""
        self._end()
        self.start()

    def stop(self) -> None:
        """End the process and all it started, for good; a caller still waiting gets `Stopped`."""
        with self._lock:  # a start in progress has either seen this or has its process to end
            self._stopped = True
        self._end()

    def _end(self) -> None:
        while (child := self._child) is not None:
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)  # also what a process that died has left
            child.wait()
            with self._lock:
                if self._child is not child:
                    continue
                self._child, waiting = None, list(self._answers.values())
            with suppress(OSError):
                _pipe(child.stdin).close()
            for answers in waiting:
                answers.put({"error": _STOPPED} if self._stopped else {"ended": True})
            idle_share, self._asked_at = self.idle_share, None
            log.info("model process ended", name=self._name, idle_share=idle_share, busy_s=round(self._busy_s, 3))

    def _call(self, request: dict[str, Any], on_progress: OnProgress) -> dict[str, Any]:
        answers: queue.SimpleQueue[Message] = queue.SimpleQueue()
        with self._lock:
            if (child := self._child) is None:
                raise _error(_STOPPED) if self._stopped or not self.facts else ProcessDied("it starts anew", fix="wait")
            self._numbers += 1
            number = self._numbers
            self._answers[number] = answers
            self._asked_at = self._asked_at or time.perf_counter()
        try:
            self._write(child, {"id": number, "request": request})
            return self._await(child, answers, on_progress)
        except Stopped:
            if self._child is child:
                self._write(child, {"cancel": number})
            raise
        finally:
            self._answers.pop(number, None)

    def _load(self, child: "subprocess.Popen[str]") -> None:
        """Wait until the model is loaded, then listen to it."""
        for message in _messages(child):
            if "error" in message:
                self._end()
                raise _error(message["error"])
            self.facts, self._busy_s = message["ready"] | {"pid": child.pid}, 0.0
            threading.Thread(target=self._listen, args=(child,), daemon=True).start()
            return
        died = self._died(child)
        self._end()
        raise died

    def _spawn(self) -> "subprocess.Popen[str]":
        child = subprocess.Popen(
            [sys.executable, "-m", "blocks.inference.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
            env=self._environment,
            start_new_session=True,
        )
        threading.Thread(target=self._keep_printed, args=(child,), daemon=True).start()
        return child

    def _await(
        self, child: "subprocess.Popen[str]", answers: "queue.SimpleQueue[Message]", on_progress: OnProgress
    ) -> dict[str, Any]:
        share = 0.0
        while True:
            try:
                message = answers.get(timeout=TICK_S)
            except queue.Empty:
                message = {}
                if child.poll() is not None and answers.empty():
                    raise self._died(child) from None
            if "ended" in message:
                raise ProcessDied(f"the process of {self._name} was started anew", fix="run the job again")
            if "error" in message:
                raise _error(message["error"])
            if "answer" in message:
                on_progress(1.0)
                return message["answer"]
            share = message.get("share", share)
            on_progress(share)

    def _listen(self, child: "subprocess.Popen[str]") -> None:
        """Hand the messages of the process to those who wait for them."""
        for message in _messages(child):
            self._busy_s, self._told_at = message["busy_s"], time.perf_counter()
            if (answers := self._answers.get(message["id"])) is not None:
                answers.put(message)
        child.wait()

    def _keep_printed(self, child: "subprocess.Popen[str]") -> None:
        if child.stderr is not None:
            with child.stderr as printed:
                self._printed.extend(printed)

    def _write(self, child: "subprocess.Popen[str]", message: Message) -> None:
        # The caller sees the end of the answers when the process has ended.
        with self._writing, suppress(BrokenPipeError, ValueError):
            stdin = _pipe(child.stdin)
            stdin.write(json.dumps(message) + "\n")
            stdin.flush()

    def _died(self, child: "subprocess.Popen[str]") -> C500Error:
        if self._stopped:
            return _error(_STOPPED)
        code = child.wait()
        last = next((line.strip() for line in reversed(self._printed) if line.strip()), "it printed nothing")
        return ProcessDied(
            f"the process of {self._name} ended with {_exit_name(code)}: {last}",
            fix="run the job again; if it fails at the same place, report the recording",
            printed=list(self._printed),
        )


_STOPPED: Message = {
    "kind": "Stopped",
    "message": "the model was unloaded",
    "fix": "start the job again; finished steps are kept",
    "details": {},
}


def _messages(child: "subprocess.Popen[str]") -> Iterator[Message]:
    """What the process says; a line that its end cut short is left out."""
    for line in _pipe(child.stdout):
        if line.endswith("\n"):
            yield json.loads(line)


def _pipe(pipe: IO[str] | None) -> IO[str]:
    if pipe is None:
        raise TypeError("the process was started without pipes")
    return pipe


def _error(told: Message) -> C500Error:
    kind: type[C500Error] = getattr(errors, told["kind"])
    return kind(told["message"], fix=told["fix"], **told["details"])


def _exit_name(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"
