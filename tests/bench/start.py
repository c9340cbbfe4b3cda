"""Submit → first line of a flow: the warm worker against Prefect's process worker, and RQ as the floor."""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from deployments.docs import ROOT
from deployments.server import temporary_server
from tests.processes import free_port, stop

NAME = "start"
UNIT = "x of the goals p50 <= 0.8 s and a quarter of the process worker's"
GOAL = 1.0

P50_S = 0.8
FASTER = 4.0

FLOW = "tests.fakes.first_line"
DEADLINE_S = 120
POLL_S = 0.01

QUERY_S = "0.25"
"""What the process worker polls with; its default of 10 s would make the comparison pointless."""

RQ_VENV = ROOT / ".bench" / "rq"
RQ_JOB = """
import time
from pathlib import Path

def first_line(out):
    now = time.time()
    Path(out).write_text(str(now))
"""
RQ_SUBMIT = """
import sys, time, uuid
from pathlib import Path
from redis import Redis
from rq import Queue
from rq_job import first_line

queue = Queue(connection=Redis(port=int(sys.argv[1])))
for _ in range(int(sys.argv[2])):
    out = Path(sys.argv[3], uuid.uuid4().hex)
    submitted = time.time()
    queue.enqueue(first_line, str(out))
    while not (out.exists() and out.read_text()):
        time.sleep(0.002)
    print(float(out.read_text()) - submitted, flush=True)
    time.sleep(0.1)
"""


def missing() -> str | None:
    """What is needed and not here."""
    return None if subprocess.run(["which", "redis-server"], capture_output=True).returncode == 0 else "redis-server"


def measure(quick: bool) -> float:
    """The worse of p50 / 0.8 s and 4 × p50 / p50 of the process worker."""
    jobs = {"warm": 10, "process": 4, "rq": 10} if quick else {"warm": 50, "process": 50, "rq": 50}
    with tempfile.TemporaryDirectory() as folder, temporary_server() as url:
        taken_s = {kind: _prefect(kind, url, Path(folder), jobs[kind]) for kind in ("warm", "process")}
    with tempfile.TemporaryDirectory() as folder:
        taken_s["rq"] = _rq(Path(folder), jobs["rq"])
    for kind, times_s in taken_s.items():
        print(f"{kind:8} p50 {_p50(times_s):6.3f} s, p95 {_p95(times_s):6.3f} s, {len(times_s)} jobs")
    faster = _p50(taken_s["process"]) / _p50(taken_s["warm"])
    print(f"the warm worker starts a run {faster:.1f} times as fast as the process worker")
    return max(_p50(taken_s["warm"]) / P50_S, FASTER / faster)


def _prefect(kind: str, url: str, folder: Path, jobs: int) -> list[float]:
    """Seconds from submit to first line of each job, one after the other, after one that is not counted."""
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.actions import WorkPoolCreate

    from deployments.warm.worker import WarmWorker

    client = SyncPrefectClient(api=url)
    template = WarmWorker.get_default_base_job_template()
    client.create_work_pool(WorkPoolCreate(name=kind, type=kind, base_job_template=template))
    deployment = client.create_deployment(
        flow_id=client.create_flow_from_name("first-line"),
        name=kind,
        work_pool_name=kind,
        entrypoint=f"{FLOW}.first_line",
    )

    def submit() -> float:
        out = folder / uuid4().hex
        submitted = time.time()
        run = client.create_flow_run_from_deployment(deployment, parameters={"out": str(out)})
        first_line = float(_once(lambda: out.exists() and out.read_text()))
        _once(lambda: _finished(run.id))
        return first_line - submitted

    def _finished(run_id: UUID) -> bool:
        state = client.read_flow_run(run_id).state
        return state is not None and state.is_final()

    with _worker(kind, url, folder):
        submit()
        return [submit() for _ in range(jobs)]


@contextmanager
def _worker(kind: str, url: str, folder: Path) -> Iterator[None]:
    environment = {
        **os.environ,
        "PREFECT_API_URL": url,
        "PYTHONPATH": str(ROOT),
        "WARM_MODULES": f"flows,{FLOW}",
        **({"PREFECT_WORKER_QUERY_SECONDS": QUERY_S} if kind == "process" else {}),
    }
    command = [str(Path(sys.executable).parent / "prefect"), "worker", "start", "--pool", kind, "--type", kind]
    with (folder / f"{kind}.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, cwd=folder, stdout=log, stderr=log)
    try:
        yield
    finally:
        stop(process, within_s=60)


def _rq(folder: Path, jobs: int) -> list[float]:
    """The same of an RQ worker, in a virtual environment of its own."""
    if not (RQ_VENV / "bin" / "rq").exists():
        subprocess.run([sys.executable, "-m", "venv", str(RQ_VENV)], check=True)
        subprocess.run([str(RQ_VENV / "bin" / "pip"), "install", "--quiet", "rq"], check=True)
    (folder / "rq_job.py").write_text(RQ_JOB)
    port = free_port()
    redis = subprocess.Popen(
        ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)],
        stdout=subprocess.DEVNULL,
    )
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    worker = subprocess.Popen(
        [str(RQ_VENV / "bin" / "rq"), "worker", "--quiet", "--url", f"redis://127.0.0.1:{port}"],
        env=environment,
        cwd=folder,
    )
    try:
        command = [str(RQ_VENV / "bin" / "python"), "-c", RQ_SUBMIT, str(port), str(jobs + 1), str(folder)]
        output = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=300)
        return [float(line) for line in output.stdout.split()][1:]
    finally:
        for process in (worker, redis):
            stop(process)


def _once(what: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        if found := what():
            return found
        time.sleep(POLL_S)
    raise TimeoutError("the run did not start")


def _p50(times_s: list[float]) -> float:
    return statistics.median(times_s)


def _p95(times_s: list[float]) -> float:
    return statistics.quantiles(times_s, n=20)[-1]
