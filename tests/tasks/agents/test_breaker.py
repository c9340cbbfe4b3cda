"""Circuit breakers that processes share."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blocks.errors import BadInput, EngineFailed, NotAllowed, TimedOut
from tasks.agents.breaker import FileBreakers, Outcome, outcome_of, outcome_of_error

REST_S = 300.0


class Clock:
    """A clock that goes on when it is told to."""

    now = 10_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    """The machine's clock."""
    return Clock()


@pytest.fixture
def breakers(tmp_path: Path, clock: Clock) -> Iterator[FileBreakers]:
    """Breakers that open at the third failure, as new."""
    made = FileBreakers(tmp_path / "breakers", failures=3, rest_s=REST_S, clock=clock)
    yield made
    made.close()


def call(breakers: FileBreakers, call_id: str, outcome: Outcome, key: str = "ops/deploy") -> bool:
    """Make a call that goes so; whether it was let through."""
    attempt = breakers.begin(key, call_id)
    if attempt is None:
        return False
    attempt.end(outcome)
    return True


def opened(breakers: FileBreakers) -> None:
    for number in range(3):
        assert call(breakers, f"first/{number}", "failed")


def state(breakers: FileBreakers) -> str:
    return next((one.state for one in breakers.standing()), "as new")


def test_failures_in_a_row_open_it_for_that_key_alone(breakers: FileBreakers) -> None:
    opened(breakers)
    assert state(breakers) == "open"
    assert not call(breakers, "r/9", "ok")
    assert call(breakers, "r/9", "ok", key="ops/read_file")
    assert call(breakers, "r/9", "ok", key="analyst/deploy")


def test_a_success_in_between_keeps_it_closed(breakers: FileBreakers) -> None:
    for number, outcome in enumerate(["failed", "failed", "ok", "failed", "none", "failed"]):
        assert call(breakers, f"r/{number}", outcome)  # type: ignore[arg-type]
    assert state(breakers) == "closed"


def test_it_lets_one_call_through_after_its_rest(breakers: FileBreakers, clock: Clock) -> None:
    opened(breakers)
    clock.now += REST_S - 1
    assert breakers.begin("ops/deploy", "r/1") is None
    clock.now += 1
    assert state(breakers) == "half-open"
    probe = breakers.begin("ops/deploy", "r/2")
    assert probe is not None
    assert breakers.begin("ops/deploy", "r/3") is None
    probe.end("ok")
    assert state(breakers) == "as new"
    assert call(breakers, "r/4", "ok")


def test_a_probe_that_fails_opens_it_for_another_rest(breakers: FileBreakers, clock: Clock) -> None:
    opened(breakers)
    clock.now += REST_S
    assert call(breakers, "r/1", "failed")
    assert not call(breakers, "r/2", "ok")
    clock.now += REST_S
    assert call(breakers, "r/3", "ok")
    assert state(breakers) == "as new"


def test_a_probe_that_tells_nothing_leaves_the_next_call_to_find_out(breakers: FileBreakers, clock: Clock) -> None:
    opened(breakers)
    clock.now += REST_S
    assert call(breakers, "r/1", "none")
    assert state(breakers) == "half-open"
    assert call(breakers, "r/2", "ok")


def test_a_failure_that_is_replayed_counts_once(breakers: FileBreakers) -> None:
    for _ in range(10):
        assert call(breakers, "r/1", "failed")
    assert [one.failures for one in breakers.standing()] == [1]


def test_a_success_that_is_replayed_closes_nothing(breakers: FileBreakers) -> None:
    assert call(breakers, "r/1", "ok")
    opened(breakers)
    assert call(breakers, "r/1", "ok"), "its result is known, nothing is called"
    assert state(breakers) == "open"


def test_what_was_refused_is_refused_in_each_replay(breakers: FileBreakers, clock: Clock) -> None:
    opened(breakers)
    assert not call(breakers, "r/1", "ok")
    clock.now += REST_S
    assert call(breakers, "r/2", "ok")
    assert not call(breakers, "r/1", "ok")


def test_a_refusal_that_does_not_last_is_forgotten(breakers: FileBreakers, clock: Clock) -> None:
    opened(breakers)
    assert breakers.begin("ops/deploy", "r/1", lasting=False) is None
    assert breakers.begin("ops/deploy", "first/1", lasting=False) is None
    clock.now += REST_S
    probe = breakers.begin("ops/deploy", "r/1", lasting=False)
    assert probe is not None
    probe.end("ok")


def test_a_restart_of_the_machine_ends_a_rest(breakers: FileBreakers, clock: Clock) -> None:
    opened(breakers)
    clock.now = 5.0
    assert call(breakers, "r/1", "ok")


PROBE = """
import sys, time
from pathlib import Path
from tasks.agents.breaker import FileBreakers
attempt = FileBreakers(Path(sys.argv[1]), failures=3, rest_s=0).begin("ops/deploy", sys.argv[2])
print("passed" if attempt else "refused", flush=True)
sys.stdin.read()
"""


def other_process(folder: Path, call_id: str) -> "subprocess.Popen[bytes]":
    root = Path(__file__).parents[3]
    arguments = [sys.executable, "-c", PROBE, str(folder), call_id]
    return subprocess.Popen(arguments, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def said(process: "subprocess.Popen[bytes]") -> bytes:
    assert process.stdout
    return process.stdout.readline().strip()


def test_of_many_processes_one_probes_and_another_when_it_is_killed(tmp_path: Path) -> None:
    folder = tmp_path / "breakers"
    opened(FileBreakers(folder, failures=3, rest_s=0))
    processes = [other_process(folder, f"r/{number}") for number in range(3)]
    answers = [said(process) for process in processes]
    try:
        assert sorted(answers) == [b"passed", b"refused", b"refused"]
        probing = processes[answers.index(b"passed")]
        os.kill(probing.pid, signal.SIGKILL)
        probing.wait()
        processes.append(other_process(folder, "r/9"))
        assert said(processes[-1]) == b"passed"
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def test_of_many_threads_one_probes(breakers: FileBreakers, clock: Clock) -> None:
    opened(breakers)
    clock.now += REST_S
    with ThreadPoolExecutor(16) as pool:
        attempts = list(pool.map(lambda number: breakers.begin("ops/deploy", f"r/{number}"), range(64)))
    assert sum(attempt is not None for attempt in attempts) == 1


@pytest.mark.parametrize("content", [b"no database at all, but long enough to be taken for one" * 100])
def test_a_file_that_cannot_be_used_lets_calls_pass(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "breakers.db").write_bytes(content)
    assert call(FileBreakers(tmp_path), "r/1", "failed")


Moves = st.lists(st.tuples(st.sampled_from(["ok", "failed", "none"]), st.floats(0, 400)), max_size=30)


@given(moves=Moves)
@settings(max_examples=40)
def test_nothing_passes_an_open_breaker_whatever_happened_before(moves: Any, tmp_path_factory: Any) -> None:
    clock = Clock()
    breakers = FileBreakers(tmp_path_factory.mktemp("b"), failures=2, rest_s=REST_S, clock=clock)
    row, opened_at = 0, None
    for number, (outcome, pause) in enumerate(moves):
        clock.now += pause
        resting = opened_at is not None and clock.now - opened_at < REST_S
        assert call(breakers, f"r/{number}", outcome) == (not resting)
        if resting or outcome == "none":
            continue
        probed = opened_at is not None
        row, opened_at = (row + 1, opened_at) if outcome == "failed" else (0, None)
        if outcome == "failed" and (probed or row >= 2):
            opened_at = clock.now
    breakers.close()


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        ("text", "ok"),
        (None, "ok"),
        ([], "ok"),
        ({"rows": 3}, "ok"),
        ({"error": "a word"}, "ok"),
        ({"error": {"code": "TIMED_OUT"}, "more": 1}, "ok"),
        ({"error": {"code": "TIMED_OUT"}}, "failed"),
        ({"error": {"code": "ENGINE_UNAVAILABLE"}}, "failed"),
        ({"error": {"code": "BAD_INPUT"}}, "none"),
        ({"error": {"code": "STOPPED"}}, "none"),
        ({"error": {"code": ["TIMED_OUT"]}}, "ok"),
        ({"note": "ann changed it", "result": {"error": {"code": "TIMED_OUT"}}}, "failed"),
        ({"refused": "no"}, "none"),
        ({"dry_run": "it would"}, "none"),
    ],
)
def test_what_a_result_tells_of_the_tool(result: Any, expected: Outcome) -> None:
    assert outcome_of(result) == expected


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (TimedOut("", fix=""), "failed"),
        (EngineFailed("", fix=""), "failed"),
        (OSError(), "failed"),
        (ValueError(), "failed"),
        (BadInput("", fix=""), "none"),
        (NotAllowed("", fix=""), "none"),
        (KeyboardInterrupt(), "none"),
    ],
)
def test_what_an_error_tells_of_the_tool(error: BaseException, expected: Outcome) -> None:
    assert outcome_of_error(error) == expected
