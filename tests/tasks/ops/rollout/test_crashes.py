"""A watch that is killed with SIGKILL goes on, and rolls back at most once."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.tasks.ops.rollout import watch_crashes


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_wherever_a_watch_is_killed_the_rollback_is_done_at_most_once(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.blocks.crashes", watch_crashes.__name__, str(tmp_path / "crashes")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[0]) > 50


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.tasks.ops.rollout import watch_crashes
from tasks.ops.service import history, rolling_back

at, folder = sys.argv[1], Path(sys.argv[2])
def dies(*_args, **_facts):
    os.kill(os.getpid(), signal.SIGKILL)
if at == "before the turn is taken":
    history.Histories.begin_rollback = dies
elif at == "before the command":
    rolling_back.run_all = dies
elif at == "behind the command":
    history.Histories.note = dies
watch_crashes.run(folder)
"""


@pytest.mark.parametrize("at", ["before the turn is taken", "before the command", "behind the command"])
def test_a_killed_watch_goes_on_with_its_rollback(at: str, tmp_path: Path) -> None:
    watch_crashes.prepare(tmp_path)
    died = subprocess.run([sys.executable, "-c", KILLED, at, str(tmp_path)], cwd=ROOT, check=False, timeout=120)
    assert died.returncode == -9
    watch_crashes.check(tmp_path, True)
    assert watch_crashes.run(tmp_path).status == "rolled_back"
