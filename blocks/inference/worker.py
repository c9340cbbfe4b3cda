"""The process that holds a model: reads requests, computes their units in batches, writes answers.

Lines of JSON go both ways: the configuration and then requests on standard input, one message a
line on standard output. Libraries that print do not disturb: they write to standard error.
"""

import importlib
import json
import os
import queue
import signal
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TextIO

from blocks.errors import C500Error, EngineFailed, OutOfMemory
from blocks.inference.runtime import Again, Runtime, Unit

Message = dict[str, Any]


@dataclass
class Request:
    """A request in hand."""

    id: int
    content: Message
    outcomes: list[Any]
    left: int
    size: float
    done: float = 0.0


@dataclass
class Worker:
    """Batches the units of all requests in hand, first come first served."""

    runtime: Runtime
    out: TextIO
    inbox: "queue.SimpleQueue[Message]" = field(default_factory=queue.SimpleQueue[Message])
    requests: dict[int, Request] = field(default_factory=dict[int, Request])
    pending: "deque[tuple[int, int, Unit]]" = field(default_factory=deque[tuple[int, int, Unit]])
    """Request, index of the unit in it, unit."""
    alone: set[int] = field(default_factory=set[int])
    """Requests whose units are not computed with those of others, because a batch with them failed."""
    busy_s: float = 0.0

    def serve(self) -> None:
        """Work until the process ends."""
        while True:
            self.turn()

    def turn(self) -> None:
        """Take what has come, waiting where there is nothing to do, and compute one batch."""
        self._receive(wait=not self.pending)
        if self.pending:
            self._step()

    def _receive(self, *, wait: bool) -> None:
        while wait or not self.inbox.empty():
            message = self.inbox.get()
            wait = False
            if "cancel" in message:
                self._drop(message["cancel"])
            else:
                self._open(message)

    def _open(self, message: Message) -> None:
        number, content = message["id"], message["request"]
        try:
            with self._busy():
                units = self.runtime.split(content)
            if not units:
                self.send({"id": number, "answer": self.runtime.answer(content, [])})
                return
        except Exception as error:  # noqa: BLE001 - told to the caller
            self._fail([number], error)
            return
        self.requests[number] = Request(
            id=number,
            content=content,
            outcomes=[None] * len(units),
            left=len(units),
            size=sum(unit.size for unit in units) or 1.0,
        )
        self.pending.extend((number, index, unit) for index, unit in enumerate(units))

    def _step(self) -> None:
        """Compute one batch."""
        batch = self._next_batch()
        try:
            with self._busy():
                outcomes = self.runtime.run([unit for _, _, unit in batch])
        except Exception as error:  # noqa: BLE001 - told to the callers
            numbers = {number for number, _, _ in batch}
            smaller = isinstance(error, OutOfMemory) and self.runtime.shrink()
            if not smaller and len(numbers) > 1:
                self.alone |= numbers  # one of them may be at fault, the others shall not suffer
            if smaller or len(numbers) > 1:
                self.pending.extendleft(reversed(batch))
            else:
                self._fail(list(numbers), error)
            return
        for (number, index, unit), outcome in zip(batch, outcomes, strict=True):
            self._note(self.requests[number], index, unit, outcome)

    def _next_batch(self) -> list[tuple[int, int, Unit]]:
        """The oldest unit and those of its key that fit beside it."""
        batch = [self.pending.popleft()]
        chosen = [batch[0][2]]
        left: deque[tuple[int, int, Unit]] = deque()
        while self.pending:
            item = self.pending.popleft()
            if not self._together(batch[0], item):
                left.append(item)
            elif self.runtime.fits(chosen, item[2]):
                batch.append(item)
                chosen.append(item[2])
            else:
                left.append(item)
                break
        self.pending.extendleft(reversed(left))
        return batch

    def _together(self, first: tuple[int, int, Unit], other: tuple[int, int, Unit]) -> bool:
        if first[2].key != other[2].key:
            return False
        return first[0] == other[0] or not self.alone & {first[0], other[0]}

    @contextmanager
    def _busy(self) -> Generator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.busy_s += time.perf_counter() - start

    def _note(self, request: Request, index: int, unit: Unit, outcome: Any) -> None:
        if isinstance(outcome, Again):
            self.pending.append((request.id, index, outcome.unit))
            return
        request.outcomes[index] = outcome
        request.left -= 1
        request.done += unit.size
        if request.left:
            self.send({"id": request.id, "share": request.done / request.size})
            return
        del self.requests[request.id]
        self.alone.discard(request.id)
        try:
            self.send({"id": request.id, "answer": self.runtime.answer(request.content, request.outcomes)})
        except Exception as error:  # noqa: BLE001 - told to the caller
            self._fail([request.id], error)

    def _fail(self, numbers: list[int], error: Exception) -> None:
        for number in numbers:
            self._drop(number)
            self.send({"id": number, "error": error_message(error)})

    def _drop(self, number: int) -> None:
        self.requests.pop(number, None)
        self.alone.discard(number)
        self.pending = deque(item for item in self.pending if item[0] != number)

    def send(self, message: Message) -> None:
        """Write one message, and how long the model has computed so far."""
        self.out.write(json.dumps(message | {"busy_s": self.busy_s}) + "\n")
        self.out.flush()


def error_message(error: Exception) -> Message:
    """An error as JSON values; what is not typed yet becomes `EngineFailed`."""
    if not isinstance(error, C500Error):
        traceback.print_exception(error)
        error = EngineFailed(
            f"{type(error).__name__}: {error}", fix="report it with the recording; another engine may do better"
        )
    return {"kind": type(error).__name__, "message": error.message, "fix": error.fix, "details": error.details}


def main() -> None:
    """Load the runtime that the first line of standard input names, then serve."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print is no message
    first = json.loads(sys.stdin.readline())
    module, _, name = first["runtime"].partition(":")
    try:
        runtime: Runtime = getattr(importlib.import_module(module), name)(**first["config"])
        worker = Worker(runtime=runtime, out=out)
        threading.Thread(target=_read, args=(worker.inbox,), daemon=True).start()
        facts = runtime.load()
    except Exception as error:  # noqa: BLE001 - told to the caller
        out.write(json.dumps({"error": error_message(error)}) + "\n")
        out.flush()
        return
    worker.send({"ready": facts})
    worker.serve()


def _read(inbox: "queue.SimpleQueue[Message]") -> None:
    """Pass requests on; the end of the input means that the caller is gone, and ends everything started here."""
    for line in sys.stdin:
        inbox.put(json.loads(line))
    os.killpg(os.getpgrp(), signal.SIGKILL)


if __name__ == "__main__":
    main()
