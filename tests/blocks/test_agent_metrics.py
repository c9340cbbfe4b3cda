"""Metrics of agents: counted by many processes, once each, whatever dies in between."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blocks.agent_metrics import METRICS, AgentMetrics, Change, LiveSessions, Series
from blocks.agent_metrics.store import LONGEST_LABEL, MOST_SERIES
from blocks.errors import BadInput, StoreFailed

ROOT = Path(__file__).parents[2]
STEPS = "c500_agent_steps_total"
TOKENS = "c500_agent_tokens_total"
WAIT = "c500_agent_approval_wait_seconds"
OPS = {"agent_name": "ops"}


@pytest.fixture
def metrics(tmp_path: Path) -> Iterator[AgentMetrics]:
    """Metrics, with nothing counted yet."""
    made = AgentMetrics(tmp_path / "metrics")
    yield made
    made.close()


def test_counts_add_up_by_their_labels(metrics: AgentMetrics) -> None:
    metrics.count(STEPS, OPS)
    metrics.count(STEPS, OPS, 2)
    metrics.count(STEPS, {"agent_name": "analyst"}, 0.5)
    assert metrics.read() == {STEPS: [Series(("analyst",), 0.5), Series(("ops",), 3)]}


def test_labels_are_kept_in_the_metrics_order_whatever_order_they_come_in(metrics: AgentMetrics) -> None:
    metrics.count(TOKENS, {"type": "prompt", "model": "m", "agent_name": "ops"}, 7)
    assert metrics.read()[TOKENS] == [Series(("ops", "m", "prompt"), 7)]


def test_a_histogram_counts_up_to_each_bound(metrics: AgentMetrics) -> None:
    for value in (5, 5.01, 86_400, 100_000):
        metrics.observe(WAIT, {}, value)
    assert metrics.read()[WAIT] == [Series((), 186_410.01, [1, 2, 2, 2, 2, 2, 2, 3, 4])]


@given(values=st.lists(st.floats(-10, 1000, allow_nan=False), min_size=1, max_size=20))
@settings(max_examples=20)
def test_a_histogram_agrees_with_its_definition(values: list[float], tmp_path_factory: Any) -> None:
    metrics = AgentMetrics(tmp_path_factory.mktemp("m"))
    for value in values:
        metrics.observe("c500_agent_request_duration_seconds", OPS, value)
    [series] = metrics.read()["c500_agent_request_duration_seconds"]
    bounds = (*METRICS["c500_agent_request_duration_seconds"].buckets, float("inf"))
    assert series.buckets == [sum(value <= bound for value in values) for bound in bounds]
    assert series.total == pytest.approx(sum(values))
    metrics.close()


def test_what_happened_once_is_counted_once_with_all_that_belongs_to_it(metrics: AgentMetrics) -> None:
    changes = [Change(STEPS, OPS), Change(TOKENS, {**OPS, "model": "m", "type": "prompt"}, 9)]
    for _ in range(3):
        metrics.add(changes, once="run/1")
    metrics.add(changes, once="run/2")
    found = metrics.read()
    assert (found[STEPS][0].total, found[TOKENS][0].total) == (2, 18)


def test_what_is_known_by_a_name_survives_a_restart(tmp_path: Path) -> None:
    for _ in range(2):
        metrics = AgentMetrics(tmp_path)
        metrics.count(STEPS, OPS, once="run/1")
        metrics.close()
    assert AgentMetrics(tmp_path).read()[STEPS] == [Series(("ops",), 1)]


COUNTING = """
import sys
from pathlib import Path
from blocks.agent_metrics import AgentMetrics
metrics = AgentMetrics(Path(sys.argv[1]))
for number in range(200):
    metrics.count("c500_agent_steps_total", {"agent_name": "ops"}, once=f"{sys.argv[2]}/{number}")
    print(number, flush=True)
"""


def test_many_processes_count_together_and_one_that_is_killed_counts_what_it_said(tmp_path: Path) -> None:
    def process(name: str) -> "subprocess.Popen[bytes]":
        return subprocess.Popen([sys.executable, "-c", COUNTING, tmp_path, name], cwd=ROOT, stdout=subprocess.PIPE)

    whole, killed = [process("a"), process("b")], process("c")
    assert killed.stdout
    said = [int(killed.stdout.readline()) for _ in range(20)][-1] + 1
    killed.kill()
    said += len(killed.communicate()[0].split())
    for one in whole:
        one.communicate()
    [series] = AgentMetrics(tmp_path).read()[STEPS]
    assert 400 + said <= series.total <= 400 + said + 1


def test_a_forked_process_counts_too(tmp_path: Path) -> None:
    script = f"""
import os, sys
from pathlib import Path
from blocks.agent_metrics import AgentMetrics
metrics = AgentMetrics(Path({str(tmp_path)!r}))
metrics.count("c500_agent_steps_total", {{"agent_name": "ops"}})
children = []
for _ in range(3):
    child = os.fork()
    if child == 0:
        metrics.count("c500_agent_steps_total", {{"agent_name": "ops"}})
        os._exit(0)
    children.append(child)
for child in children:
    assert os.waitpid(child, 0)[1] == 0
metrics.count("c500_agent_steps_total", {{"agent_name": "ops"}})
"""
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)
    assert AgentMetrics(tmp_path).read()[STEPS] == [Series(("ops",), 5)]


def test_labels_without_end_end_in_other(metrics: AgentMetrics) -> None:
    for number in range(MOST_SERIES + 50):
        metrics.count(TOKENS, {**OPS, "model": f"model-{number}", "type": "prompt"})
    metrics.count(TOKENS, {**OPS, "model": "model-0", "type": "prompt"})
    found = {series.labels: series.total for series in metrics.read()[TOKENS]}
    assert len(found) == MOST_SERIES + 1
    assert found["other", "other", "other"] == 50
    assert found["ops", "model-0", "prompt"] == 2


def test_labels_from_outside_are_short_and_can_be_shown(metrics: AgentMetrics) -> None:
    metrics.count(STEPS, {"agent_name": "a\nb\x00\ud800é" + "x" * 500})
    [series] = metrics.read()[STEPS]
    assert series.labels == (("a?b??é" + "x" * 500)[:LONGEST_LABEL],)


@pytest.mark.parametrize(
    ("name", "labels", "value"),
    [
        ("agent_unheard_of_total", OPS, 1),
        ("c500_agent_active_sessions", OPS, 1),
        (STEPS, {}, 1),
        (STEPS, {**OPS, "more": "x"}, 1),
        (STEPS, OPS, -1),
        (STEPS, OPS, float("inf")),
        (WAIT, {}, float("nan")),
    ],
)
def test_what_no_metric_takes_is_refused(
    metrics: AgentMetrics, name: str, labels: dict[str, str], value: float
) -> None:
    with pytest.raises(BadInput):
        metrics.count(name, labels, value)
    assert metrics.read() == {}


def test_a_file_that_cannot_be_used_stops_no_run_and_shows(tmp_path: Path) -> None:
    (tmp_path / "metrics.db").write_bytes(b"this is no database, though it is a file" * 100)
    metrics = AgentMetrics(tmp_path)
    metrics.count(STEPS, OPS)
    with pytest.raises(StoreFailed):
        metrics.read()


def test_names_labels_and_buckets_are_those_of_the_book() -> None:
    book = {
        "c500_agent_requests_total": ("agent_name", "status"),
        "c500_agent_request_duration_seconds": ("agent_name",),
        "c500_agent_steps_per_request": ("agent_name",),
        "c500_agent_tokens_total": ("agent_name", "model", "type"),
        "c500_agent_api_cost_usd_total": ("agent_name", "model"),
        "c500_agent_cache_hits_total": ("agent_name", "cache_type"),
        "c500_agent_task_success_total": ("agent_name", "task_type"),
        "c500_agent_task_failure_total": ("agent_name", "task_type", "failure_reason"),
        "c500_agent_user_feedback_total": ("agent_name", "rating"),
        "c500_agent_active_sessions": ("agent_name",),
        "c500_agent_queue_depth": ("agent_name", "priority"),
        "c500_agent_guard_decisions_total": ("decision", "rule"),
        "c500_agent_approvals_total": ("risk", "decision"),
    }
    assert {name: METRICS[name].labels for name in book} == book
    assert METRICS["c500_agent_request_duration_seconds"].buckets == (1, 5, 10, 30, 60, 120, 300, 600)
    assert METRICS["c500_agent_steps_per_request"].buckets == (1, 2, 5, 10, 20, 50, 100)


@pytest.fixture
def sessions(tmp_path: Path) -> LiveSessions:
    """Sessions of a machine, none at work."""
    return LiveSessions(tmp_path / "sessions")


def test_a_run_is_at_work_until_it_ends_or_while_it_waits(sessions: LiveSessions) -> None:
    assert sessions.at_work() == {}
    with sessions.session("ops"), sessions.session("ops") as second, sessions.session("analyst"):
        assert sessions.at_work() == {"ops": 2, "analyst": 1}
        with second.waiting():
            with second.waiting():
                assert sessions.at_work() == {"ops": 1, "analyst": 1}
            assert sessions.at_work() == {"ops": 1, "analyst": 1}
        assert sessions.at_work() == {"ops": 2, "analyst": 1}
    assert sessions.at_work() == {}


WORKING = """
import sys
from pathlib import Path
from blocks.agent_metrics import LiveSessions
with LiveSessions(Path(sys.argv[1])).session("ops"):
    print("works", flush=True)
    sys.stdin.read()
"""


def test_a_run_whose_process_was_killed_is_not_at_work(tmp_path: Path) -> None:
    arguments = [sys.executable, "-c", WORKING, tmp_path]
    process = subprocess.Popen(arguments, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout
    assert process.stdout.readline() == b"works\n"
    assert LiveSessions(tmp_path).at_work() == {"ops": 1}
    process.kill()
    process.communicate()
    assert len(list(tmp_path.iterdir())) == 1
    assert LiveSessions(tmp_path).at_work() == {}
    assert list(tmp_path.iterdir()) == []


def test_a_session_that_cannot_be_written_down_works_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with LiveSessions(tmp_path / "file").session("ops") as session, session.waiting():
        pass
