"""A server that is killed and started again costs a worker neither its runs nor its life."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx

from deployments.server import PROCESS, TEMPORARY, migrated_template
from tests.deployments.warm.conftest import Pool, eventually, facts
from tests.processes import HTTP, free_port, stop


@contextmanager
def server(port: int, folder: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A server on this port with the database of this folder, killed with the block."""
    database = f"sqlite+aiosqlite:///{folder / 'prefect.db'}"
    environment = os.environ | TEMPORARY | {"PREFECT_SERVER_DATABASE_CONNECTION_URL": database}
    command = [sys.executable, "-c", PROCESS, str(port), str(folder / "nothing")]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, env=environment | {"PREFECT_HOME": str(folder)}, start_new_session=True
    )

    def healthy() -> bool:
        try:
            return HTTP.get(f"http://127.0.0.1:{port}/api/health").is_success
        except httpx.HTTPError:
            return False

    eventually(healthy)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_a_restart_of_the_server_costs_nothing(running_prefect_server: str, tmp_path: Path) -> None:
    del running_prefect_server  # it made the template
    port, folder = free_port(), tmp_path / "server"
    folder.mkdir()
    shutil.copy(migrated_template(), folder / "prefect.db")
    with ExitStack() as running:
        first = running.enter_context(server(port, folder))
        pool = Pool(f"http://127.0.0.1:{port}/api", tmp_path)
        # It gives a call up after 6 s instead of 62: what it does then is the point.
        worker = running.enter_context(pool.worker(PREFECT_CLIENT_MAX_RETRIES="2"))
        run_id = pool.submit("until", out=str(tmp_path / "out"), there=str(tmp_path / "there"))
        facts(tmp_path / "out")
        first.kill()
        first.wait()
        worker.says("cannot be reached")
        with server(port, folder):
            (tmp_path / "there").touch()
            pool.reaches(run_id, "COMPLETED")
            pool.reaches(pool.submit("report", out=str(tmp_path / "later")), "COMPLETED")
            assert worker.process.poll() is None
            stop(worker.process, within_s=60)  # here: without a server it would wait for one to say goodbye to
