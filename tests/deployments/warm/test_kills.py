"""Whatever is killed: no run goes on unwatched, none is lost, and none is taken from a worker that lives."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest
from prefect.states import Cancelling, Pending, Running

from deployments.warm import claims
from tests.deployments.warm.conftest import MODULE, NOT_LOADED, Pool, Worker, alive, eventually, facts

DEAD = claims.Claim(claims.mine().host, "1:1:no-boot")
ELSEWHERE = claims.Claim("another-host/1/pid:[1]", "1:1:no-boot")


@pytest.fixture(scope="module")
def shared_worker(shared_pool: Pool) -> Iterator[Worker]:
    """A worker whose forkservers grow old after two runs."""
    with shared_pool.worker(WARM_RUNS="2") as worker:
        yield worker


def test_a_killed_worker_takes_its_runs_along_and_the_next_settles_those_of_the_dead_and_no_others(
    pool: Pool, tmp_path: Path
) -> None:
    with pool.worker() as worker:
        killed = {
            "warm": pool.submit("hang", out=str(tmp_path / "warm")),
            "fresh": pool.submit("hang", module=NOT_LOADED, out=str(tmp_path / "fresh")),
        }
        pids = [pid for name in killed for pid in facts(tmp_path / name)["pids"]]
        forkserver = worker.forkserver()
        worker.process.kill()
        eventually(lambda: not any(alive(pid) for pid in [forkserver, *pids]))

    def claimed(claim: claims.Claim, out: str) -> UUID:
        run_id = pool.submit("report", out=str(tmp_path / out))
        pool.client.set_flow_run_state(run_id, Pending(message=str(claim)), force=True)
        return run_id

    def running(claim: claims.Claim) -> UUID:
        run_id = claimed(claim, "never")
        pool.client.set_flow_run_state(run_id, Running(), force=True)
        return run_id

    untouched = {
        claimed(ELSEWHERE, "never"): "PENDING",
        claimed(claims.mine(), "never"): "PENDING",
        running(ELSEWHERE): "RUNNING",
        running(claims.mine()): "RUNNING",
    }
    waiting, begun, cancelling = claimed(DEAD, "out"), running(DEAD), running(DEAD)
    pool.client.set_flow_run_state(cancelling, Cancelling(), force=True)
    with pool.worker("--limit", "1") as worker:
        for run_id in killed.values():
            pool.reaches(run_id, "CRASHED")
        pool.reaches(waiting, "COMPLETED")
        pool.reaches(begun, "CRASHED")
        pool.reaches(cancelling, "CANCELLED")
        assert {run_id: pool.state(run_id) for run_id in untouched} == untouched
        a_limit_holds_and_a_free_slot_is_used(pool, worker, tmp_path)
        a_worker_that_is_asked_to_end_ends_its_runs(pool, worker, tmp_path)
    assert not (tmp_path / "never").exists()
    assert pool.states(waiting).count("Completed") == 1


def a_limit_holds_and_a_free_slot_is_used(pool: Pool, worker: Worker, tmp_path: Path) -> None:
    first = pool.submit("hang", out=str(tmp_path / "first"))
    facts(tmp_path / "first")
    second = pool.submit("report", out=str(tmp_path / "second"))
    assert pool.state(second) == "SCHEDULED"
    assert str(second) not in worker.text
    pool.client.set_flow_run_state(first, Cancelling(), force=True)
    pool.reaches(first, "CANCELLED")
    pool.reaches(second, "COMPLETED")


def a_worker_that_is_asked_to_end_ends_its_runs(pool: Pool, worker: Worker, tmp_path: Path) -> None:
    run_id = pool.submit("hang", out=str(tmp_path / "last"))
    pids = facts(tmp_path / "last")["pids"]
    worker.process.send_signal(signal.SIGTERM)
    assert worker.process.wait(timeout=60) == 0
    assert not any(alive(pid) for pid in pids)
    pool.reaches(run_id, "CRASHED")


def test_a_killed_forkserver_crashes_its_runs_and_is_replaced(
    shared_pool: Pool, shared_worker: Worker, tmp_path: Path
) -> None:
    run_id = shared_pool.submit("hang", out=str(tmp_path / "hang"))
    pids = facts(tmp_path / "hang")["pids"]
    os.kill(shared_worker.forkserver(), signal.SIGKILL)
    run = shared_pool.reaches(run_id, "CRASHED")
    assert run.state and "status code: -9." in (run.state.message or "")
    assert not any(alive(pid) for pid in pids)
    shared_pool.reaches(shared_pool.submit("report", out=str(tmp_path / "out")), "COMPLETED")


def test_code_that_cannot_be_loaded_leaves_the_worker_working(
    shared_pool: Pool, shared_worker: Worker, tmp_path: Path
) -> None:
    code = shared_pool.folder / f"{MODULE}.py"
    good = code.read_text()
    code.write_text("this is no Python")
    shared_pool.reaches(shared_pool.submit("report", out=str(tmp_path / "bad")), "CRASHED", "FAILED")
    shared_worker.says("start in fresh interpreters")
    code.write_text(good)
    shared_pool.reaches(shared_pool.submit("report", out=str(tmp_path / "out")), "COMPLETED")
    assert facts(tmp_path / "out")["parent"] == shared_worker.forkserver(), "it was seen that the code was mended"


def test_a_forkserver_that_has_grown_old_is_replaced(shared_pool: Pool, shared_worker: Worker, tmp_path: Path) -> None:
    for name in ("first", "second"):
        shared_pool.reaches(shared_pool.submit("report", out=str(tmp_path / name)), "COMPLETED")
    former = facts(tmp_path / "first")["parent"]
    eventually(lambda: not alive(former))
    shared_worker.says("it has started")  # two runs, or three that came at once
    shared_pool.reaches(shared_pool.submit("report", out=str(tmp_path / "third")), "COMPLETED")
    assert facts(tmp_path / "third")["parent"] != former
