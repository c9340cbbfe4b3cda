"""Runs of a warm worker are like those of Prefect's own process worker, in fresh processes of their own."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest
from prefect.states import Cancelling, Scheduled

from tests.deployments.warm.conftest import NOT_LOADED, Pool, Worker, alive, eventually, facts

pytestmark = pytest.mark.usefixtures("shared_worker")


@pytest.fixture(scope="module")
def shared_worker(shared_pool: Pool) -> Iterator[Worker]:
    """A worker that counts its runs."""
    with shared_pool.worker("--limit", "5") as worker:
        yield worker


def test_a_run_is_forked_and_completes(shared_pool: Pool, shared_worker: Worker, tmp_path: Path) -> None:
    run_id = shared_pool.submit("report", out=str(tmp_path / "out"))
    run = shared_pool.reaches(run_id, "COMPLETED")
    seen = facts(tmp_path / "out")
    assert seen["session"] == seen["pid"] != shared_worker.process.pid
    assert seen["environment"]["PREFECT__FLOW_RUN_ID"] == str(run_id)
    assert not seen["sigint_ignored"]
    assert "deployments.warm.forkserver" in seen["parent_command"]
    assert run.infrastructure_pid == f"{os.uname().nodename}:{seen['pid']}"
    assert run.labels["prefect.worker.type"] == "warm"


def test_nothing_of_a_run_reaches_the_next(shared_pool: Pool, tmp_path: Path) -> None:
    for name in ("first", "second"):
        shared_pool.reaches(shared_pool.submit("report", out=str(tmp_path / name)), "COMPLETED")
    first, second = facts(tmp_path / "first"), facts(tmp_path / "second")
    assert second["pid"] != first["pid"]
    assert second["seen"] == []
    assert "LEFT_BEHIND" not in second["environment"]
    assert second["random"] != first["random"]
    assert second["folder"] != first["folder"]
    eventually(lambda: not Path(first["folder"]).exists())


def test_environment_and_folder_of_the_job_are_honoured(shared_pool: Pool, tmp_path: Path) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    environment = {"CUDA_VISIBLE_DEVICES": "3", "PREFECT_LOGGING_LEVEL": "ERROR", "TZ": "Asia/Ho_Chi_Minh"}
    run_id = shared_pool.submit(
        "report", variables={"env": environment, "working_dir": str(folder)}, out=str(tmp_path / "out")
    )
    shared_pool.reaches(run_id, "COMPLETED")
    seen = facts(tmp_path / "out")
    assert environment.items() <= seen["environment"].items()
    assert seen["folder"] == str(folder)
    assert seen["path"][0] == str(folder)
    assert seen["level"] == "ERROR"


def test_output_reaches_the_worker_unless_turned_off(shared_pool: Pool, shared_worker: Worker, tmp_path: Path) -> None:
    before = shared_worker.text.count("a line of the run")
    for name, stream in (("quiet", False), ("loud", True)):
        run_id = shared_pool.submit("report", variables={"stream_output": stream}, out=str(tmp_path / name))
        shared_pool.reaches(run_id, "COMPLETED")
    assert shared_worker.text.count("a line of the run") == before + 1


def test_exit_codes_are_reported_as_by_the_process_worker(shared_pool: Pool) -> None:
    runs = {code: shared_pool.submit("end_with", code=code) for code in (3, -signal.SIGKILL, -signal.SIGSEGV)}
    for code, run_id in runs.items():
        state = shared_pool.reaches(run_id, "CRASHED").state
        assert state and f"status code: {int(code)}." in (state.message or "")


def test_a_cancelled_run_takes_all_its_processes_along(shared_pool: Pool, tmp_path: Path) -> None:
    run_id = shared_pool.submit("hang", out=str(tmp_path / "out"))
    pids = facts(tmp_path / "out")["pids"]
    cancel(shared_pool, run_id)
    shared_pool.reaches(run_id, "CANCELLED")
    eventually(lambda: not any(alive(pid) for pid in pids))


def test_a_run_that_ends_leaves_no_process_behind(shared_pool: Pool, tmp_path: Path) -> None:
    shared_pool.reaches(shared_pool.submit("leave", out=str(tmp_path / "out")), "COMPLETED")
    eventually(lambda: not any(alive(pid) for pid in facts(tmp_path / "out")["pids"]))


def test_hooks_run_outside_the_worker(shared_pool: Pool, shared_worker: Worker, tmp_path: Path) -> None:
    cancelled = shared_pool.submit("hooked", out=str(tmp_path / "cancelled"))
    shared_pool.submit("hooked", out=str(tmp_path / "crashed"))
    facts(tmp_path / "cancelled")
    cancel(shared_pool, cancelled)
    os.kill(facts(tmp_path / "crashed")["pids"][0], signal.SIGKILL)
    seen = [facts(tmp_path / f"{name}.hook") for name in ("cancelled", "crashed")]
    assert [hook["state"] for hook in seen] == ["Cancelling", "Crashed"]
    assert shared_worker.process.pid not in [hook["pid"] for hook in seen]


def test_a_timeout_of_the_flow_holds(shared_pool: Pool) -> None:
    run = shared_pool.reaches(shared_pool.submit("late"), "FAILED")
    assert run.state and run.state.name == "TimedOut"


def test_a_run_that_is_due_again_while_it_runs_costs_no_worker(
    shared_pool: Pool, shared_worker: Worker, tmp_path: Path
) -> None:
    run_id = shared_pool.submit("until", out=str(tmp_path / "out"), there=str(tmp_path / "there"))
    [pid] = facts(tmp_path / "out")["pids"]
    shared_pool.client.set_flow_run_state(run_id, Scheduled(), force=True)
    for name in ("one", "two"):
        shared_pool.reaches(shared_pool.submit("report", out=str(tmp_path / name)), "COMPLETED")
    assert shared_worker.process.poll() is None
    assert alive(pid)
    assert shared_pool.state(run_id) == "SCHEDULED"
    (tmp_path / "there").touch()
    eventually(lambda: not alive(pid))


def test_what_the_forkserver_cannot_serve_starts_in_a_fresh_interpreter(shared_pool: Pool, tmp_path: Path) -> None:
    runs = {
        "module": shared_pool.submit("report", module=NOT_LOADED, out=str(tmp_path / "module")),
        "interpreter": shared_pool.submit(
            "report", variables={"env": {"PYTHONHASHSEED": "7"}}, out=str(tmp_path / "interpreter")
        ),
    }
    for name, run_id in runs.items():
        shared_pool.reaches(run_id, "COMPLETED")
        assert "deployments.warm.forkserver" not in facts(tmp_path / name)["parent_command"]


def test_a_command_of_the_job_is_what_runs(shared_pool: Pool, tmp_path: Path) -> None:
    shared_pool.submit("report", variables={"command": f"touch {tmp_path / 'command'}"}, out=str(tmp_path / "out"))
    eventually((tmp_path / "command").exists)
    assert not (tmp_path / "out").exists()


@pytest.mark.soak
def test_a_command_that_is_prefects_own_runs_the_flow(shared_pool: Pool, tmp_path: Path) -> None:
    command = f"{sys.executable} -m prefect.engine"
    run_id = shared_pool.submit("report", variables={"command": command}, out=str(tmp_path / "out"))
    shared_pool.reaches(run_id, "COMPLETED")
    assert "deployments.warm.forkserver" not in facts(tmp_path / "out")["parent_command"]


def cancel(pool: Pool, run_id: UUID) -> None:
    pool.client.set_flow_run_state(run_id, Cancelling(), force=True)
