"""The form for several machines: PostgreSQL and Redis, and workers with homes of their own."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import psutil
import pytest

from tests.databases import PASSWORD, new_database
from tests.deployments.service.test_join import joined, machine
from tests.deployments.service.test_up import parts_of
from tests.processes import until
from tests.service import Service, start_service

JOBS = 8
MANY_JOBS = 30
FINISHED = "Finished in state Completed()"
DEADLINE_S = 300
RECOVERY_S = 900
"""A run counts as crashed after 330 s of silence; then it is run again."""


@pytest.fixture(scope="module")
def large_service(tmp_path_factory: pytest.TempPathFactory, postgres_url: str, redis_url: str) -> Iterator[Service]:
    """Server and gateway on PostgreSQL and Redis, without workers."""
    addresses = ("--postgres", new_database(postgres_url), "--redis", redis_url)
    with start_service(tmp_path_factory.mktemp("large"), "--no-worker", *addresses) as service:
        yield service


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


def test_passwords_show_neither_in_ps_nor_in_logs(large_service: Service) -> None:
    processes = [psutil.Process(large_service.process.pid), *parts_of(large_service.folder)]
    assert len(processes) == 3  # supervisor, server, gateway
    for process in processes:
        assert PASSWORD not in " ".join(process.cmdline())
    logs = [large_service.screen, *(large_service.folder / "logs").rglob("*.log*")]
    assert len(logs) > 2
    for log in logs:
        assert PASSWORD not in log.read_text(), log


def test_nothing_of_it_is_kept_in_sqlite(large_service: Service) -> None:
    server = next(one for one in parts_of(large_service.folder) if "server start" in " ".join(one.cmdline()))
    environment = server.environ()
    assert environment["PREFECT_SERVER_DATABASE_CONNECTION_URL"].startswith("postgresql+asyncpg://")
    assert environment["PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE"] == "prefect_redis.lease_storage"
    assert not [file.path for file in server.open_files() if file.path.endswith("prefect.db")]


def test_both_workers_take_jobs(large_service: Service, tmp_path: Path) -> None:
    with ExitStack() as machines, gateway_client(large_service) as client:
        for name in ("one", "two"):
            folder = tmp_path / name
            machines.enter_context(joined(*_here(folder, large_service), name, limit=1))
        until_complete(client, [submit(client, number) for number in range(JOBS)], DEADLINE_S)
        for name in ("one", "two"):
            assert FINISHED in (tmp_path / name / f"{name}.log").read_text()


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
