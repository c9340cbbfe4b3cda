"""`c500 worker POOL` from another home: it joins, or says in one line why it may not."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import WorkPoolCreate

from tests.processes import stop, until_ready
from tests.service import ROOT, Service

DEADLINE_S = 120


def machine(folder: Path, service: Service, **changed: str) -> dict[str, str]:
    """The environment of another machine, which shares the store and knows the server."""
    home = folder / "home"
    home.mkdir(parents=True, exist_ok=True)
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "PYTHONPATH": str(ROOT),
        "AUDIO_DIR": service.environment["AUDIO_DIR"],
        "PREFECT_API_URL": service.api_url,
        "PREFECT_API_AUTH_STRING": service.auth,
    } | changed


def join(folder: Path, environment: dict[str, str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "deployments", "worker", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=240)


@contextmanager
def joined(
    folder: Path, environment: dict[str, str], name: str, *, pool: str = "cpu", limit: int = 2
) -> Iterator["subprocess.Popen[bytes]"]:
    """A worker of the pool that has started."""
    log = folder / f"{name}.log"
    command = [sys.executable, "-m", "deployments", "worker", pool, "--name", name, "--limit", str(limit)]
    in_background = ["sh", "-c", 'trap "" INT; exec "$@"', "sh", *command]
    with log.open("wb") as output:
        process = subprocess.Popen(
            in_background, cwd=folder, env=environment, stdout=output, stderr=output, start_new_session=True
        )
    try:
        until_ready(process, lambda: "started!" in log.read_text(), log, DEADLINE_S)
        yield process
    finally:
        stop(process, within_s=60)


async def test_a_worker_joins_from_another_home(
    service: Service, service_client: PrefectClient, tmp_path: Path
) -> None:
    with joined(tmp_path, machine(tmp_path, service), "elsewhere"):
        workers = await service_client.read_workers_for_work_pool("cpu")
        assert "elsewhere" in {worker.name for worker in workers if worker.status == "ONLINE"}
    assert f"joins {service.api_url}" in (tmp_path / "elsewhere.log").read_text()


def test_a_machine_with_another_store_may_not_join(service: Service, tmp_path: Path) -> None:
    run = join(tmp_path, machine(tmp_path, service, AUDIO_DIR=str(tmp_path / "store")), "cpu")
    assert run.returncode == 1
    assert "is not the store of the service" in run.stderr
    assert service.environment["AUDIO_DIR"] in run.stderr
    assert "set AUDIO_DIR to it" in run.stderr


def test_a_wrong_secret_is_refused_in_one_line(service: Service, tmp_path: Path) -> None:
    run = join(tmp_path, machine(tmp_path, service, PREFECT_API_AUTH_STRING="c500:guessed"), "cpu")
    assert run.returncode == 3
    assert "wants another PREFECT_API_AUTH_STRING" in run.stderr
    assert "guessed" not in run.stderr


def test_an_unknown_pool_is_refused_with_those_that_there_are(service: Service, tmp_path: Path) -> None:
    run = join(tmp_path, machine(tmp_path, service), "gpu-9")
    assert run.returncode == 2
    assert "no work pool gpu-9" in run.stderr
    assert "agents, cpu" in run.stderr


async def test_a_pool_of_another_kind_is_refused(
    service: Service, service_client: PrefectClient, tmp_path: Path
) -> None:
    await service_client.create_work_pool(WorkPoolCreate(name="containers", type="docker"))
    try:
        run = join(tmp_path, machine(tmp_path, service), "containers")
    finally:
        await service_client.delete_work_pool("containers")
    assert run.returncode == 1
    assert "containers is of type docker, not warm" in run.stderr


def test_without_a_server_it_says_what_to_set(tmp_path: Path, service: Service) -> None:
    environment = machine(tmp_path, service, PREFECT_API_URL="http://127.0.0.1:9/api")
    run = join(tmp_path, environment, "cpu")
    assert run.returncode == 1
    assert "no Prefect server answers at PREFECT_API_URL" in run.stderr


@pytest.mark.parametrize("variable", ["SECRET_API_KEY", "SERVER_POSTGRES_URL"])
async def test_a_joined_worker_does_not_keep_secrets_of_other_parts(
    service: Service, tmp_path: Path, variable: str
) -> None:
    value = (
        "postgresql://c500:hidden-value@db/prefect" if "URL" in variable else "hidden-value-of-32-characters-or-more"
    )
    with joined(tmp_path, machine(tmp_path, service, **{variable: value}), "careful") as worker:
        assert b"hidden-value" not in Path(f"/proc/{worker.pid}/environ").read_bytes()
