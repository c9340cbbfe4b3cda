"""`c500 worker POOL` from another home: it joins, or says in one line why it may not."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import WorkPoolCreate

from blocks.errors import Conflict, EngineUnavailable, NotAllowed, NotFound
from deployments.service.join import check_joining, service_api
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


async def test_a_worker_joins_from_another_home_and_keeps_no_secrets_of_other_parts(
    service: Service, service_client: PrefectClient, tmp_path: Path
) -> None:
    secrets = {
        "SECRET_API_KEY": "hidden-value-of-32-characters-or-more",
        "SERVER_POSTGRES_URL": "postgresql://c500:hidden-value@db/prefect",
    }
    with joined(tmp_path, machine(tmp_path, service, **secrets), "elsewhere") as worker:
        workers = await service_client.read_workers_for_work_pool("cpu")
        assert "elsewhere" in {worker.name for worker in workers if worker.status == "ONLINE"}
        own = psutil.Process(worker.pid)
        for process in (own, *own.children(recursive=True)):
            assert b"hidden-value" not in Path(f"/proc/{process.pid}/environ").read_bytes()
    assert f"joins {service.api_url}" in (tmp_path / "elsewhere.log").read_text()


def test_a_machine_with_another_store_may_not_join(service: Service, tmp_path: Path) -> None:
    run = join(tmp_path, machine(tmp_path, service, AUDIO_DIR=str(tmp_path / "store")), "cpu")
    assert run.returncode == 1
    assert "is not the store of the service" in run.stderr
    assert service.environment["AUDIO_DIR"] in run.stderr
    assert "set AUDIO_DIR to it" in run.stderr


def test_a_wrong_secret_is_refused_in_one_line(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", service.api_url)
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", "c500:guessed")
    with pytest.raises(NotAllowed, match="wants another PREFECT_API_AUTH_STRING") as refused:
        service_api()
    assert refused.value.exit_code == 3
    assert "\n" not in refused.value.message
    assert "guessed" not in refused.value.message + refused.value.fix


async def test_an_unknown_pool_is_refused_with_those_that_there_are(service_client: PrefectClient) -> None:
    with pytest.raises(NotFound, match="no work pool gpu-9") as refused:
        await check_joining("gpu-9")
    assert refused.value.exit_code == 2
    assert "agents, cpu" in refused.value.fix


async def test_a_pool_of_another_kind_is_refused(service_client: PrefectClient) -> None:
    await service_client.create_work_pool(WorkPoolCreate(name="containers", type="docker"))
    try:
        with pytest.raises(Conflict, match="containers is of type docker, not warm") as refused:
            await check_joining("containers")
    finally:
        await service_client.delete_work_pool("containers")
    assert refused.value.exit_code == 1


def test_without_a_server_it_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    with pytest.raises(EngineUnavailable, match="no Prefect server answers at PREFECT_API_URL") as refused:
        service_api()
    assert refused.value.exit_code == 1
