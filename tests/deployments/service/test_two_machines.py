"""The form for several machines: PostgreSQL and Redis, which may die, and workers with homes of their own."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import psutil
import pytest

from deployments.service.plan import MARK
from tests.databases import PASSWORD, DatabaseServer, new_database, postgres_server, redis_server
from tests.deployments.service.test_join import joined, machine
from tests.processes import until
from tests.service import Service, start_service

JOBS = 6
MANY_JOBS = 30
FINISHED = "Finished in state Completed()"
NOTICED_S = 60
BACK_S = 240
DEADLINE_S = 300
RECOVERY_S = 900
"""A run counts as crashed after 330 s of silence; then it is run again."""


@pytest.fixture(scope="module")
def postgres() -> Iterator[DatabaseServer]:
    with postgres_server() as server:
        yield server


@pytest.fixture(scope="module")
def redis() -> Iterator[DatabaseServer]:
    with redis_server() as server:
        yield server


@pytest.fixture(scope="module")
def large_service(
    tmp_path_factory: pytest.TempPathFactory, postgres: DatabaseServer, redis: DatabaseServer
) -> Iterator[Service]:
    """Server and gateway on PostgreSQL and Redis, without workers."""
    addresses = ("--postgres", new_database(postgres.url), "--redis", redis.url)
    with start_service(tmp_path_factory.mktemp("large"), "--no-worker", *addresses) as service:
        yield service


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory, large_service: Service) -> Iterator[list[Path]]:
    """Logs of the workers of two machines, one job at once each."""
    logs: list[Path] = []
    with ExitStack() as workers:
        for name in ("one", "two"):
            folder = tmp_path_factory.mktemp(name)
            workers.enter_context(joined(*_here(folder, large_service), name, limit=1))
            logs.append(folder / f"{name}.log")
        yield logs


def submit(client: httpx.Client, number: int) -> str:
    text = f"We decided to approve budget {number}. Maria will call David on Friday about number {number}."
    sent = client.post("/v1/process_text", json={"text": text, "features": ["clean_transcript"]})
    assert sent.is_success, sent.text
    return sent.json()["task_id"]


def until_complete(client: httpx.Client, tasks: list[str], within_s: float) -> None:
    deadline = time.monotonic() + within_s
    waiting = list(tasks)
    while waiting:
        status = client.get(f"/v1/status/{waiting[0]}", params={"wait": 20}).json()
        assert status["status"] != "FAILED", status
        assert time.monotonic() < deadline, status
        if status["status"] == "COMPLETE":
            waiting.pop(0)


def gateway_client(service: Service) -> httpx.Client:
    return httpx.Client(base_url=service.gateway_url, headers={"X-API-Key": service.first_key}, timeout=60)


def sent(client: httpx.Client, number: int) -> httpx.Response:
    """The answer to a submission that may be refused; the same number is the same job."""
    text = f"We meet again, number {number}."
    return client.post("/v1/process_text", json={"text": text, "features": ["clean_transcript"]})


def outlive_databases(
    service: Service, postgres: DatabaseServer, redis: DatabaseServer, *, jobs: int, gone_s: int
) -> None:
    """What was accepted completes although PostgreSQL and Redis, one after the other, die in the middle of it."""
    with gateway_client(service) as client:
        tasks: list[str] = []
        for server in (postgres, redis):
            tasks.extend([submit(client, 2000 + len(tasks) + number) for number in range(jobs)])
            server.kill()
            if server is postgres:
                until(lambda: not sent(client, len(tasks)).is_success, NOTICED_S)
                refused = sent(client, len(tasks))
                assert refused.status_code == 503, refused.text
                assert "Retry-After" in refused.headers
            time.sleep(gone_s)  # the time away is what is tried
            server.start()
            until(lambda: sent(client, len(tasks)).is_success, BACK_S)
            tasks.append(sent(client, len(tasks)).json()["task_id"])
        until_complete(client, tasks, RECOVERY_S)


def test_passwords_show_neither_in_ps_nor_in_logs(large_service: Service) -> None:
    processes = [psutil.Process(large_service.process.pid), *large_service.parts()]
    assert len(processes) == 3  # supervisor, server, gateway
    for process in processes:
        assert PASSWORD not in " ".join(process.cmdline())
    logs = [large_service.screen, *(large_service.folder / "logs").rglob("*.log*")]
    assert len(logs) > 2
    for log in logs:
        assert PASSWORD not in log.read_text(), log


def test_nothing_of_it_is_kept_in_sqlite(large_service: Service) -> None:
    server = large_service.part("server start")
    environment = server.environ()
    assert environment["PREFECT_SERVER_DATABASE_CONNECTION_URL"].startswith("postgresql+asyncpg://")
    assert environment["PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE"] == "prefect_redis.lease_storage"
    assert not [file.path for file in server.open_files() if file.path.endswith("prefect.db")]


def test_both_workers_take_jobs(large_service: Service, machines: list[Path]) -> None:
    with gateway_client(large_service) as client:
        until_complete(client, [submit(client, number) for number in range(JOBS)], DEADLINE_S)
    for log in machines:
        assert FINISHED in log.read_text()


def test_what_was_accepted_completes_though_the_databases_died(
    large_service: Service, machines: list[Path], postgres: DatabaseServer, redis: DatabaseServer
) -> None:
    outlive_databases(large_service, postgres, redis, jobs=2, gone_s=0)


@pytest.mark.soak
@pytest.mark.parametrize("keeps_all", [False, True])
def test_what_was_accepted_completes_though_the_databases_were_away(
    tmp_path: Path, postgres: DatabaseServer, keeps_all: bool
) -> None:
    with (
        redis_server(keeps_all=keeps_all) as redis,
        start_service(tmp_path, "--postgres", new_database(postgres.url), "--redis", redis.url) as service,
    ):
        outlive_databases(service, postgres, redis, jobs=3, gone_s=60)


def test_nothing_survives_a_killed_supervisor_and_the_next_start_goes_on(large_service: Service) -> None:
    key, left = large_service.first_key, large_service.parts()
    assert len(left) == 2  # server and gateway
    # A run of a worker that was killed has its own session and other parents.
    orphan = subprocess.Popen(
        [sys.executable, "-c", "import signal; signal.pause()"],
        env={MARK: str(large_service.folder / "service")},
        start_new_session=True,
    )
    large_service.process.kill()
    large_service.process.wait()
    _, alive = psutil.wait_procs(left, timeout=30)
    assert not alive
    assert orphan.poll() is None
    large_service.start()
    assert orphan.wait(timeout=30) == -signal.SIGKILL
    assert large_service.screen.read_text().count("shown this once") == 1
    assert httpx.get(f"{large_service.gateway_url}/v1/models", headers={"X-API-Key": key}).status_code == 200


@pytest.mark.soak
def test_when_one_machine_dies_the_other_finishes_its_work(large_service: Service, tmp_path: Path) -> None:
    with ExitStack() as machines, gateway_client(large_service) as client:
        doomed = machines.enter_context(joined(*_here(tmp_path / "one", large_service), "doomed", limit=2))
        other = _here(tmp_path / "two", large_service)
        machines.enter_context(joined(*other, "other", limit=2))
        machines.enter_context(joined(*other, "recovery", pool="agents", limit=2))
        tasks = [submit(client, 1000 + number) for number in range(MANY_JOBS)]
        log = tmp_path / "one" / "doomed.log"
        until(lambda: any(line in log.read_text() for line in ("Opening process", FINISHED)), DEADLINE_S)
        in_hand = [*psutil.Process(doomed.pid).children(recursive=True), psutil.Process(doomed.pid)]
        for process in in_hand:
            process.kill()
        until_complete(client, tasks, RECOVERY_S)
        results = {client.get(f"/v1/status/{task}").json()["task_id"] for task in tasks}
        assert results == set(tasks)


def _here(folder: Path, service: Service) -> tuple[Path, dict[str, str]]:
    """A folder to start in, and the environment of a machine that has it."""
    folder.mkdir(exist_ok=True)
    return folder, machine(folder, service)
