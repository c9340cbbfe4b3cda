"""A runtime without a model: what the tests of the process around models load."""

import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from blocks.errors import OutOfMemory, Unsupported
from blocks.inference.runtime import Again, Unit


class CountingRuntime:
    """Doubles numbers; its configuration and requests say how it misbehaves."""

    def __init__(self, largest_batch: int = 4, memory: int = 100, wait_for: str = "", fail: str = "") -> None:
        self.largest = largest_batch
        self.memory = memory
        self.wait_for = wait_for
        self.fail = fail
        self.batches: list[list[int]] = []
        self.shrunk = False

    def load(self) -> dict[str, Any]:
        print("loading, says the library")
        if self.fail == "load":
            raise Unsupported("no such thing", fix="do without", field="thing")
        if self.fail == "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        _wait_for(self.wait_for)
        return {"pid": os.getpid()}

    def split(self, request: dict[str, Any]) -> list[Unit]:
        return [Unit(payload=(number, request), key=request.get("key")) for number in request["numbers"]]

    def fits(self, batch: Sequence[Unit], unit: Unit) -> bool:
        return len(batch) < self.largest

    def run(self, batch: Sequence[Unit]) -> list[Any]:
        if len(batch) > self.memory:
            raise OutOfMemory(f"{len(batch)} at once are too many", fix="take less")
        request = batch[0].payload[1]
        for unit in batch:
            _misbehave(unit.payload[1])
        _wait_for(request.get("wait_for", ""))
        if request.get("shut_again"):
            Path(request["wait_for"]).unlink()
        self.batches.append([unit.payload[0] for unit in batch])
        return [self._outcome(unit) for unit in batch]

    def _outcome(self, unit: Unit) -> Any:
        number, request = unit.payload
        if number in request.get("again", ()):
            return Again(Unit(payload=(number * 10, request), key=unit.key))
        return number * 2

    def shrink(self) -> bool:
        if self.shrunk:
            return False
        self.shrunk, self.largest = True, self.largest // 2
        return True

    def answer(self, request: dict[str, Any], outcomes: list[Any]) -> dict[str, Any]:
        return {"doubled": outcomes, "batches": self.batches}


def _misbehave(request: dict[str, Any]) -> None:
    crash = request.get("crash")
    if crash is True or (crash and not Path(crash).exists()):
        if crash is not True:
            Path(crash).touch()  # only once
        os.kill(os.getpid(), signal.SIGKILL)
    if request.get("error"):
        raise ValueError(request["error"])
    if request.get("print"):
        os.write(2, bytes.fromhex(request["print"]))


def _wait_for(path: str) -> None:
    """Stay in a long computation until the file exists; «began» is written beside it."""
    if path:
        Path(path).with_suffix(".began").touch()
        while not Path(path).exists():
            time.sleep(0.01)
