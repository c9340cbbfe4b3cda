"""All processes of a run are found, and no others."""

import os
import subprocess
import sys
from collections.abc import Iterator
from uuid import uuid4

import pytest

from deployments.warm import kin

TREE = """
import signal, subprocess, sys
inner = [sys.executable, "-c", "print('up', flush=True); import signal; signal.pause()"]
away = subprocess.Popen(inner, start_new_session=True, stdout=subprocess.PIPE)
near = subprocess.Popen(inner, stdout=subprocess.PIPE, env={})
away.stdout.readline(), near.stdout.readline()
print(away.pid, near.pid, flush=True)
signal.pause()
"""


@pytest.fixture
def run_id() -> str:
    return uuid4().hex


@pytest.fixture
def tree(run_id: str) -> Iterator[list[int]]:
    """A process with one child in a session of its own and one with an empty environment."""
    environment = os.environ | {"PREFECT__FLOW_RUN_ID": run_id}
    leader = subprocess.Popen(
        [sys.executable, "-c", TREE], env=environment, start_new_session=True, stdout=subprocess.PIPE, text=True
    )
    assert leader.stdout
    pids = [leader.pid, *(int(pid) for pid in leader.stdout.readline().split())]
    yield pids
    kin.send(pids, kin.signal.SIGKILL)
    leader.wait()


def test_descendants_are_found_in_other_sessions_and_without_the_cookie(run_id: str, tree: list[int]) -> None:
    assert kin.kin([run_id]) == set(tree)
    assert kin.kin([], leaders=[tree[0]]) == set(tree)


def test_orphans_are_still_found(run_id: str, tree: list[int]) -> None:
    leader, away, near = tree
    os.kill(leader, kin.signal.SIGKILL)
    os.waitpid(leader, 0)
    assert kin.kin([run_id], leaders=[leader]) == {away, near}


def test_other_runs_are_left_alone(tree: list[int]) -> None:
    assert not kin.kin([uuid4().hex], leaders=[]) & {os.getpid(), *tree}
