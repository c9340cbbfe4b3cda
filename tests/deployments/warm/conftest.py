"""Real warm workers on the session's Prefect server."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import FlowRun

from deployments.warm import kin
from deployments.warm.worker import WarmWorker
from tests.conftest import ROOT
from tests.processes import stop

DEADLINE_S = 90
MODULE = "warm_flows"
NOT_LOADED = "not_loaded"
"""The same flows where no forkserver has loaded them: their runs start in fresh interpreters."""


def eventually(what: Callable[[], Any], because: Callable[[], str] = str, *, every_s: float = 0.05) -> Any:
    """What the call gives once it is true."""
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        if found := what():
            return found
        time.sleep(every_s)
    raise AssertionError(f"it did not happen in time\n{because()}")


def alive(pid: int) -> bool:
    """Whether the process runs."""
    seen = kin.look(pid)
    return seen is not None and not seen.dead


def facts(path: Path) -> dict[str, Any]:
    """What a flow wrote, once it has."""
    return json.loads(eventually(lambda: path.exists() and path.read_text()))


@dataclass
class Worker:
    """A worker process and what it printed."""

    process: "subprocess.Popen[bytes]"
    output: Path

    @property
    def text(self) -> str:
        return self.output.read_text(errors="replace")

    def says(self, text: str) -> None:
        """Wait until it has printed the text."""
        eventually(lambda: text in self.text, lambda: self.text)

    def forkserver(self) -> int:
        """Process id of its forkserver."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return next(int(pid) for pid in children if b"deployments.warm.forkserver" in command_line(int(pid)))


def command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


@dataclass
class Pool:
    """A work pool of type `warm`, and flows that its workers have loaded."""

    url: str
    folder: Path
    name: str = field(default_factory=lambda: f"warm-{uuid4().hex[:8]}")
    client: SyncPrefectClient = field(init=False)

    def __post_init__(self) -> None:
        self.client = SyncPrefectClient(api=self.url)
        template = WarmWorker.get_default_base_job_template()
        self.client.create_work_pool(WorkPoolCreate(name=self.name, type="warm", base_job_template=template))
        # The second one before a worker starts: a new file is changed code, for which the forkserver is replaced.
        for name in (MODULE, NOT_LOADED):
            shutil.copy(ROOT / "tests/deployments/warm/flows_for_tests.py", self.folder / f"{name}.py")

    def submit(
        self, flow: str, *, module: str = MODULE, variables: dict[str, Any] | None = None, **parameters: Any
    ) -> UUID:
        """Make a deployment of the flow and a run of it."""
        deployment = self.client.create_deployment(
            flow_id=self.client.create_flow_from_name(flow),
            name=uuid4().hex,
            work_pool_name=self.name,
            entrypoint=f"{module}.{flow}",
            job_variables=variables or {},
            enforce_parameter_schema=False,
        )
        return self.client.create_flow_run_from_deployment(deployment, parameters=parameters).id

    def run(self, run_id: UUID) -> FlowRun:
        return self.client.read_flow_run(run_id)

    def state(self, run_id: UUID) -> str:
        state = self.run(run_id).state
        return state.type.value if state else ""

    def reaches(self, run_id: UUID, *states: str) -> FlowRun:
        """The run, once it is in one of the states."""
        eventually(lambda: self.state(run_id) in states, lambda: f"{self.run(run_id).state!r}", every_s=0.2)
        return self.run(run_id)

    def states(self, run_id: UUID) -> list[str]:
        """Names of all states the run has been in."""
        states = sorted(self.client.read_flow_run_states(run_id), key=lambda state: state.timestamp)
        return [state.name or "" for state in states]

    @contextmanager
    def worker(self, *arguments: str, **environment: str) -> Iterator[Worker]:
        """A worker of the pool, ended with the block."""
        output = self.folder / f"worker-{uuid4().hex[:8]}.log"
        command = [str(Path(sys.executable).parent / "prefect"), "worker", "start", "--pool", self.name]
        variables = {
            **os.environ,
            "PREFECT_API_URL": self.url,
            "PREFECT_LOGGING_LEVEL": "INFO",
            "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "INFO",
            "PYTHONPATH": f"{self.folder}{os.pathsep}{ROOT}",
            "WARM_MODULES": MODULE,
            **environment,
        }
        with output.open("wb") as log:
            process = subprocess.Popen(
                [*command, "--type", "warm", *arguments], env=variables, cwd=self.folder, stdout=log, stderr=log
            )
        worker = Worker(process, output)
        try:
            worker.says("forkserver")
            yield worker
        finally:
            stop(process, within_s=60)


@pytest.fixture(scope="module")
def shared_pool(running_prefect_server: str, tmp_path_factory: pytest.TempPathFactory) -> Pool:
    """A pool that the tests of a module share."""
    return Pool(running_prefect_server, tmp_path_factory.mktemp("pool"))


@pytest.fixture(scope="module")
def shared_worker(shared_pool: Pool) -> Iterator[Worker]:
    """Its worker."""
    with shared_pool.worker() as worker:
        yield worker


@pytest.fixture
def pool(running_prefect_server: str, tmp_path: Path) -> Pool:
    """A pool of this test alone."""
    return Pool(running_prefect_server, tmp_path)
