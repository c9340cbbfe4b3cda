"""Whatever is killed: no run goes on unwatched, none is lost, and none is taken from a worker that lives."""

import os
import signal
from pathlib import Path
from uuid import UUID

from prefect.states import Cancelling, Pending, Running

from deployments.warm import claims
from tests.deployments.warm.conftest import MODULE, Pool, Worker, alive, eventually, facts

DEAD = claims.Claim(claims.mine().host, "1:1:no-boot")
ELSEWHERE = claims.Claim("another-host/1/pid:[1]", "1:1:no-boot")


def test_a_killed_worker_takes_its_runs_along_and_the_next_reports_them(pool: Pool, tmp_path: Path) -> None:
    (pool.folder / "not_loaded.py").write_text((pool.folder / f"{MODULE}.py").read_text())
    with pool.worker() as worker:
        runs = {
            "warm": pool.submit("hang", out=str(tmp_path / "warm")),
            "fresh": pool.submit("hang", module="not_loaded", out=str(tmp_path / "fresh")),
        }
        pids = [pid for name in runs for pid in facts(tmp_path / name)["pids"]]
        forkserver = worker.forkserver()
        worker.process.kill()
        eventually(lambda: not any(alive(pid) for pid in [forkserver, *pids]))
    with pool.worker():
        for run_id in runs.values():
            pool.reaches(run_id, "CRASHED")


def test_runs_of_a_dead_worker_are_settled_and_those_of_others_are_not(pool: Pool, tmp_path: Path) -> None:
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
    with pool.worker():
        pool.reaches(waiting, "COMPLETED")
        pool.reaches(begun, "CRASHED")
        pool.reaches(cancelling, "CANCELLED")
        assert {run_id: pool.state(run_id) for run_id in untouched} == untouched
    assert not (tmp_path / "never").exists()
    assert pool.states(waiting).count("Completed") == 1


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


def test_changed_code_is_loaded_afresh_while_earlier_runs_go_on(
    shared_pool: Pool, shared_worker: Worker, tmp_path: Path
) -> None:
    code = shared_pool.folder / f"{MODULE}.py"
    earlier = shared_pool.submit("hang", out=str(tmp_path / "earlier"))
    pids = facts(tmp_path / "earlier")["pids"]
    former = shared_worker.forkserver()
    code.write_text(code.read_text().replace("VERSION = 1", "VERSION = 2"))
    shared_pool.reaches(shared_pool.submit("report", out=str(tmp_path / "out")), "COMPLETED")
    assert facts(tmp_path / "out")["version"] == 2
    assert shared_pool.state(earlier) == "RUNNING" and all(alive(pid) for pid in pids)
    shared_pool.client.set_flow_run_state(earlier, Cancelling(), force=True)
    shared_pool.reaches(earlier, "CANCELLED")
    eventually(lambda: not alive(former))


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


def test_a_limit_holds_and_a_free_slot_is_used(pool: Pool, tmp_path: Path) -> None:
    with pool.worker("--limit", "1") as worker:
        first = pool.submit("hang", out=str(tmp_path / "first"))
        facts(tmp_path / "first")
        second = pool.submit("report", out=str(tmp_path / "second"))
        assert pool.state(second) == "SCHEDULED"
        assert str(second) not in worker.text
        pool.client.set_flow_run_state(first, Cancelling(), force=True)
        pool.reaches(first, "CANCELLED")
        pool.reaches(second, "COMPLETED")


def test_a_worker_that_is_asked_to_end_ends_its_runs(pool: Pool, tmp_path: Path) -> None:
    with pool.worker() as worker:
        run_id = pool.submit("hang", out=str(tmp_path / "out"))
        pids = facts(tmp_path / "out")["pids"]
        worker.process.send_signal(signal.SIGTERM)
        assert worker.process.wait(timeout=60) == 0
        assert not any(alive(pid) for pid in pids)
        pool.reaches(run_id, "CRASHED")


def test_a_forkserver_that_has_grown_old_is_replaced(pool: Pool, tmp_path: Path) -> None:
    with pool.worker(WARM_RUNS="1") as worker:
        pool.reaches(pool.submit("report", out=str(tmp_path / "first")), "COMPLETED")
        worker.says("it has started 1 runs")
        pool.reaches(pool.submit("report", out=str(tmp_path / "second")), "COMPLETED")
    assert facts(tmp_path / "second")["parent"] != facts(tmp_path / "first")["parent"]
