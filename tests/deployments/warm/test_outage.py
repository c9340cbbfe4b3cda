"""A server that is killed and started again costs a worker neither its runs nor its life."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import httpx
import pytest

from deployments.server import PROCESS, TEMPORARY, migrated_template
from tests.deployments.gateway.proxy import Proxy
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


def test_a_server_that_is_away_for_a_while_costs_nothing(running_prefect_server: str, tmp_path: Path) -> None:
    way = Proxy(running_prefect_server)
    costs_nothing(Pool(way.url, tmp_path), way.close, lambda: nullcontext(way.open()), tmp_path)
    way.close()


@pytest.mark.soak
def test_a_restart_of_the_server_costs_nothing(running_prefect_server: str, tmp_path: Path) -> None:
    del running_prefect_server  # it made the template
    port, folder = free_port(), tmp_path / "server"
    folder.mkdir()
    shutil.copy(migrated_template(), folder / "prefect.db")
    with server(port, folder) as first:

        def kill() -> None:
            first.kill()
            first.wait()

        pool = Pool(f"http://127.0.0.1:{port}/api", tmp_path)
        costs_nothing(pool, kill, lambda: server(port, folder), tmp_path)


def costs_nothing(
    pool: Pool, lose: Callable[[], None], back: Callable[[], AbstractContextManager[object]], folder: Path
) -> None:
    """Lose the server and have it back while a run is at work.

    Args:
        pool: A pool of that server.
        lose: Ends the server, or the way to it.
        back: Gives a context in which it is there again.
        folder: For what the runs write.
    """
    # It gives a call up after 6 s instead of 62: what it does then is the point.
    with pool.worker(PREFECT_CLIENT_MAX_RETRIES="2") as worker:
        run_id = pool.submit("until", out=str(folder / "out"), there=str(folder / "there"))
        facts(folder / "out")
        lose()
        worker.says("cannot be reached")
        with back():
            (folder / "there").touch()
            pool.reaches(run_id, "COMPLETED")
            pool.reaches(pool.submit("report", out=str(folder / "later")), "COMPLETED")
            assert worker.process.poll() is None
            stop(worker.process, within_s=60)  # here: without a server it would wait for one to say goodbye to
