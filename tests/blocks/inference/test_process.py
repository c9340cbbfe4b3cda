"""A model in a process of its own: batches, errors, crashes, and an end at any moment."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from io import StringIO
from pathlib import Path
from typing import Any

import psutil
import pytest

from blocks.errors import EngineFailed, OutOfMemory, Stopped, Unsupported
from blocks.inference.process import ModelProcess
from blocks.inference.worker import Worker
from tests.fakes.counting_runtime import CountingRuntime
from tests.processes import until

RUNTIME = "tests.fakes.counting_runtime:CountingRuntime"


def ignore(share: float) -> None:
    """Progress that nobody looks at."""


@pytest.fixture
def loaded() -> Iterator[Callable[..., ModelProcess]]:
    started: list[ModelProcess] = []

    def start(**config: Any) -> ModelProcess:
        process = ModelProcess("the counter", RUNTIME, lambda: config)
        started.append(process)
        process.start()
        return process

    yield start
    for process in started:
        process.stop()


def test_units_of_a_request_are_batched_and_answered_in_order(loaded: Callable[..., ModelProcess]) -> None:
    shares: list[float] = []
    answer = loaded().call({"numbers": [1, 2, 3, 4, 5, 6]}, shares.append)
    assert answer == {"doubled": [2, 4, 6, 8, 10, 12], "batches": [[1, 2, 3, 4], [5, 6]]}
    assert shares == sorted(shares) and shares[-1] == 1.0


def test_units_of_several_requests_share_a_batch() -> None:
    """Without a process, so that both requests have come for certain before the first is looked at."""
    answers = StringIO()
    worker = Worker(runtime=CountingRuntime(), out=answers)
    for number in (1, 2):
        worker.inbox.put({"id": number, "request": {"numbers": [10 * number, 10 * number + 1]}})
    worker.turn()
    told = [json.loads(line)["answer"] for line in answers.getvalue().splitlines() if "answer" in line]
    assert told == [{"doubled": doubled, "batches": [[10, 11, 20, 21]]} for doubled in ([20, 22], [40, 42])]


def test_units_of_another_key_wait_for_a_batch_of_their_own(
    loaded: Callable[..., ModelProcess], tmp_path: Path
) -> None:
    process = loaded()
    gate = tmp_path / "gate"
    with ThreadPoolExecutor() as pool:
        pool.submit(process.call, {"numbers": [0], "wait_for": str(gate)}, ignore)
        until(gate.with_suffix(".began").exists)
        keyed = [pool.submit(process.call, {"numbers": [n], "key": key}, ignore) for n, key in ((1, "a"), (2, "b"))]
        until(lambda: len(process._answers) == 3)
        gate.touch()
        batches = max((future.result()["batches"] for future in keyed), key=len)
    assert sorted(batches) == [[0], [1], [2]]


def test_a_unit_may_ask_to_be_computed_again(loaded: Callable[..., ModelProcess]) -> None:
    answer = loaded().call({"numbers": [1, 2], "again": [2]}, ignore)
    assert answer["doubled"] == [2, 40]


def test_an_empty_request_is_answered(loaded: Callable[..., ModelProcess]) -> None:
    assert loaded().call({"numbers": []}, ignore)["doubled"] == []


def test_after_running_out_of_memory_half_batches_go_on(loaded: Callable[..., ModelProcess]) -> None:
    answer = loaded(memory=2).call({"numbers": [1, 2, 3, 4]}, ignore)
    assert answer == {"doubled": [2, 4, 6, 8], "batches": [[1, 2], [3, 4]]}


def test_running_out_of_memory_twice_is_a_typed_error(loaded: Callable[..., ModelProcess]) -> None:
    process = loaded(memory=1)
    with pytest.raises(OutOfMemory, match="2 at once"):
        process.call({"numbers": [1, 2, 3, 4]}, ignore)
    assert process.call({"numbers": [7]}, ignore)["doubled"] == [14]


def test_typed_errors_of_loading_cross_the_process(loaded: Callable[..., ModelProcess]) -> None:
    with pytest.raises(Unsupported) as raised:
        loaded(fail="load")
    assert (raised.value.fix, raised.value.details) == ("do without", {"field": "thing"})


def test_an_untyped_error_names_itself_and_the_model_lives_on(loaded: Callable[..., ModelProcess]) -> None:
    process = loaded()
    with pytest.raises(EngineFailed, match="ValueError: odd audio"):
        process.call({"numbers": [1], "error": "odd audio"}, ignore)
    assert process.call({"numbers": [1]}, ignore)["doubled"] == [2]


def test_a_crash_while_loading_names_the_signal(loaded: Callable[..., ModelProcess]) -> None:
    with pytest.raises(EngineFailed, match="SIGSEGV"):
        loaded(fail="crash")


def test_a_crash_while_computing_is_an_error_of_the_call(loaded: Callable[..., ModelProcess]) -> None:
    with pytest.raises(EngineFailed, match="SIGKILL"):
        loaded().call({"numbers": [1], "crash": True}, ignore)


def test_after_a_crash_the_request_is_tried_once_more(loaded: Callable[..., ModelProcess], tmp_path: Path) -> None:
    process = loaded()
    first = process.pid
    assert process.call({"numbers": [1], "crash": str(tmp_path / "crashed")}, ignore)["doubled"] == [2]
    assert process.pid not in (None, first)
    assert process.call({"numbers": [5]}, ignore)["doubled"] == [10]


def test_a_request_that_crashes_again_spares_its_neighbours(
    loaded: Callable[..., ModelProcess], tmp_path: Path
) -> None:
    process = loaded()
    gate = tmp_path / "gate"
    with ThreadPoolExecutor() as pool:
        first = pool.submit(process.call, {"numbers": [0], "wait_for": str(gate), "key": "alone"}, ignore)
        until(gate.with_suffix(".began").exists)
        innocent = [pool.submit(process.call, {"numbers": [n]}, ignore) for n in (1, 2)]
        guilty = pool.submit(process.call, {"numbers": [3], "crash": True}, ignore)
        until(lambda: len(process._answers) == 4)
        gate.touch()
        assert [one.result()["doubled"] for one in (first, *innocent)] == [[0], [2], [4]]
        with pytest.raises(EngineFailed, match="SIGKILL"):
            guilty.result()


def test_a_request_that_fails_spares_those_in_its_batch(loaded: Callable[..., ModelProcess], tmp_path: Path) -> None:
    process = loaded()
    gate = tmp_path / "gate"
    with ThreadPoolExecutor() as pool:
        first = pool.submit(process.call, {"numbers": [0], "wait_for": str(gate), "key": "alone"}, ignore)
        until(gate.with_suffix(".began").exists)
        innocent = [pool.submit(process.call, {"numbers": [n]}, ignore) for n in (1, 2)]
        guilty = pool.submit(process.call, {"numbers": [3], "error": "odd audio"}, ignore)
        until(lambda: len(process._answers) == 4)
        gate.touch()
        assert [one.result()["doubled"] for one in (first, *innocent)] == [[0], [2], [4]]
        with pytest.raises(EngineFailed, match="odd audio"):
            guilty.result()


def test_what_a_library_prints_may_be_no_text(loaded: Callable[..., ModelProcess]) -> None:
    process = loaded()
    for _ in range(2):
        assert process.call({"numbers": [1], "print": "ff0a80"}, ignore)["doubled"] == [2]


def test_a_process_that_was_stopped_does_not_start_again(loaded: Callable[..., ModelProcess]) -> None:
    """A thread that was abandoned when its run was cancelled must not take the GPU again."""
    process = loaded()
    process.stop()
    with pytest.raises(Stopped):
        process.start()
    with pytest.raises(Stopped):
        process.call({"numbers": [1]}, ignore)
    assert process.pid is None


def test_the_share_without_work_is_known(loaded: Callable[..., ModelProcess], tmp_path: Path) -> None:
    process = loaded()
    gate = tmp_path / "gate"
    with ThreadPoolExecutor() as pool:
        running = pool.submit(process.call, {"numbers": [0], "wait_for": str(gate)}, ignore)
        until(gate.with_suffix(".began").exists)
        gate.touch()
        running.result()
    assert process.idle_share is not None and 0 <= process.idle_share < 0.9


def test_stopping_ends_a_load_in_progress(tmp_path: Path) -> None:
    process = ModelProcess("the counter", RUNTIME, lambda: {"wait_for": str(tmp_path / "never")})
    with ThreadPoolExecutor() as pool:
        loading = pool.submit(process.start)
        until((tmp_path / "never.began").exists)
        pid = process.pid
        process.stop()
        with pytest.raises(Stopped):
            loading.result(timeout=10)
    assert pid is not None and not psutil.pid_exists(pid)


def test_stopping_ends_a_computation_in_progress(loaded: Callable[..., ModelProcess], tmp_path: Path) -> None:
    process = loaded()
    with ThreadPoolExecutor() as pool:
        running = pool.submit(process.call, {"numbers": [1], "wait_for": str(tmp_path / "never")}, ignore)
        until((tmp_path / "never.began").exists)
        process.stop()
        with pytest.raises((Stopped, EngineFailed)):
            running.result(timeout=10)


def test_a_cancelled_call_frees_the_model_for_others(loaded: Callable[..., ModelProcess], tmp_path: Path) -> None:
    process = loaded()
    gate = tmp_path / "gate"
    cancelled = threading.Event()

    def on_progress(share: float) -> None:
        if cancelled.is_set():
            raise Stopped("transcribe was cancelled", fix="start again")

    with ThreadPoolExecutor() as pool:
        request = {"numbers": list(range(1000)), "wait_for": str(gate), "shut_again": True}
        running = pool.submit(process.call, request, on_progress)
        until(gate.with_suffix(".began").exists)
        cancelled.set()
        with pytest.raises(Stopped):
            running.result(timeout=10)
        other = pool.submit(process.call, {"numbers": [5000]}, ignore)

        def is_answered() -> bool:
            gate.touch()  # lets one batch pass; the cancellation may still be on its way
            return other.done()

        until(is_answered)
        batches = other.result()["batches"]
    assert [5000] in batches
    assert len(batches) < 250, "all of the thousand, four at a time, were computed"


def test_the_process_ends_with_its_parent(tmp_path: Path) -> None:
    code = (
        "import os, signal; from blocks.inference.process import ModelProcess as M\n"
        f"m = M('counter', {RUNTIME!r}, dict); m.start(); print(m.pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    pid = int(run.stdout)
    until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    assert pid != os.getpid()
