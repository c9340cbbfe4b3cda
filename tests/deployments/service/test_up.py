"""`c500 up` as an operator sees it."""

import json
import os
import signal
import socket
import stat
import time
from pathlib import Path

import httpx
import pytest
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import (
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterDeploymentId,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import StateType
from typer.testing import CliRunner

from blocks.errors import BadInput, C500Error
from blocks.settings import settings
from deployments.cli import app, load_commands
from tests.fakes.deployed import until as until_async
from tests.processes import free_port
from tests.service import Service, start_service

DEADLINE_S = 120
TEXTS = FlowFilter(name=FlowFilterName(any_=["process-text"]))

RECOVERY = "recover-runs/recover-runs"
"""Its schedule is every minute."""


def test_the_prefect_server_wants_the_secret_that_only_the_owner_can_read(service: Service) -> None:
    file = service.folder / "service" / "auth"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert httpx.get(f"{service.api_url}/admin/version").status_code == 401
    assert httpx.get(f"{service.api_url}/admin/version", auth=tuple(service.auth.split(":"))).status_code == 200  # type: ignore[arg-type]


def test_no_secret_is_on_a_command_line_or_in_a_log(service: Service) -> None:
    secret = service.auth.split(":")[1]
    for process in service.parts():
        assert secret not in " ".join(process.cmdline())
    for log in (service.folder / "logs").rglob("*.log*"):
        assert secret not in log.read_text(), log
    assert secret not in service.screen.read_text()


def test_no_key_is_made_in_a_store_the_service_does_not_read(
    service: Service, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    load_commands()
    monkeypatch.setenv("SERVICE_DIR", service.environment["SERVICE_DIR"])
    monkeypatch.setenv("AUDIO_DIR", str(tmp_path / "elsewhere"))
    settings.cache_clear()
    refused = CliRunner().invoke(app, ["keys", "create", "trap"]).exception
    assert isinstance(refused, C500Error)
    assert str(service.folder / "store") in refused.message + refused.fix
    assert "AUDIO_DIR" in refused.message + refused.fix
    assert not (tmp_path / "elsewhere").exists()


def test_the_first_key_opens_the_gateway(service: Service) -> None:
    answer = httpx.get(f"{service.gateway_url}/v1/models", headers={"X-API-Key": service.first_key})
    assert answer.status_code == 200
    assert service.screen.read_text().count("shown this once") == 1


def test_starting_it_twice_says_that_it_runs(service: Service) -> None:
    again = service.c500("up")
    assert again.returncode == 0
    assert f"C500 already runs as process {service.process.pid}: {service.gateway_url}" in again.stdout


async def test_a_command_finds_the_service_and_its_server_by_itself(
    service: Service, service_client: PrefectClient, tmp_path: Path
) -> None:
    before = await service_client.read_flow_runs(flow_filter=TEXTS)
    (tmp_path / "note.txt").write_text("We decided to approve the budget. Maria will call David on Friday.")
    run = service.c500("text", str(tmp_path / "note.txt"), "--json")
    assert run.returncode == 0, run.stderr
    done = json.loads(run.stdout)
    assert (service.folder / "store" / "jobs" / done["job_id"] / "result.json").exists()
    [state] = [one.state_type for one in await service_client.read_flow_runs(flow_filter=TEXTS) if one not in before]
    assert state == StateType.COMPLETED


def test_a_job_goes_through_gateway_and_worker(service: Service) -> None:
    with httpx.Client(base_url=service.gateway_url, headers={"X-API-Key": service.first_key}, timeout=60) as client:
        sent = client.post(
            "/v1/process_text", json={"text": "Maria will call David on Friday.", "features": ["clean_transcript"]}
        )
        assert sent.is_success, sent.text
        task = sent.json()["task_id"]
        deadline = time.monotonic() + DEADLINE_S
        while (status := client.get(f"/v1/status/{task}", params={"wait": 20}).json()["status"]) != "COMPLETE":
            assert status != "FAILED"
            assert time.monotonic() < deadline


def test_status_shows_pools_workers_store_and_gateway(service: Service) -> None:
    shown = service.c500("status")
    assert shown.returncode == 0, shown.stderr
    status = json.loads(service.c500("status", "--json").stdout)
    pools = {pool["name"]: pool for pool in status["pools"]}
    assert set(pools) == {"cpu", "agents"}
    assert pools["cpu"]["online"]
    assert pools["cpu"]["type"] == "warm"
    assert status["gateway"] == {"url": service.gateway_url, "answers": True, "detail": "healthy"}
    assert status["store"]["free_bytes"] > 0
    for text in (service.api_url, "cpu", "agents", pools["cpu"]["online"][0], "healthy"):
        assert text in shown.stdout


def test_status_without_a_service_says_how_to_start_one(tmp_path: Path, service: Service) -> None:
    asked = service.c500("status", SERVICE_DIR=str(tmp_path), PREFECT_API_URL="http://127.0.0.1:9/api")
    assert asked.returncode == 1
    assert "no Prefect server answers" in asked.stderr


def test_doctor_finds_the_service_well(service: Service) -> None:
    run = service.c500("doctor")
    assert run.returncode == 0, run.stdout
    for part in ("pools", "deployments", "automations", "workers", "heartbeat", "gateway", "shared store", "api keys"):
        assert f"ok   {part}" in run.stdout


@pytest.mark.parametrize("name", ["API_PORT", "PREFECT_SERVER_API_PORT"])
def test_a_taken_port_is_named_with_its_setting(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    load_commands()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        free = {"API_PORT": str(free_port()), "PREFECT_SERVER_API_PORT": str(free_port())}
        for setting, value in (free | {name: port}).items():
            monkeypatch.setenv(setting, value)
        settings.cache_clear()
        refused = CliRunner().invoke(app, ["up", "--gpus", "0"]).exception
    assert isinstance(refused, BadInput)
    assert refused.exit_code == 2
    assert f"{name}={port} cannot be used on 127.0.0.1: Address already in use" in refused.message
    assert f"set {name} to a free port" in refused.fix


def test_a_foreign_server_is_used_but_not_run(service: Service, tmp_path: Path) -> None:
    elsewhere = {"PREFECT_API_URL": service.api_url, "PREFECT_API_AUTH_STRING": service.auth}
    shared = {"AUDIO_DIR": service.environment["AUDIO_DIR"]}
    with start_service(tmp_path, "--no-worker", **elsewhere, **shared) as second:
        assert [" ".join(one.cmdline()[1:]) for one in second.parts()] == ["-m deployments.gateway"]
        answer = httpx.get(f"{second.gateway_url}/v1/models", headers={"X-API-Key": service.first_key})
        assert answer.status_code == 200
        second.process.send_signal(signal.SIGINT)
        assert second.process.wait(timeout=90) == 0
        assert not second.parts()
    assert not (tmp_path / "service" / "service.json").exists()
    assert second.screen.read_text().splitlines()[-1] == "gateway: stopped"
    assert httpx.get(f"{service.api_url}/health").is_success


def test_settings_of_the_start_folder_reach_the_parts(service: Service) -> None:
    environment = service.part("worker start --pool cpu").environ()
    assert environment["AUDIO_DIR"] == service.environment["AUDIO_DIR"]
    assert environment["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"] == "30"
    assert "PREFECT_SERVER_API_AUTH_STRING" not in environment
    assert "PREFECT_SERVER_API_AUTH_STRING" in service.part("server start").environ()
    assert os.environ["HOME"] == environment["HOME"]


async def test_what_is_scheduled_runs(service_client: PrefectClient) -> None:
    # The server's scheduler fails in silence where its libraries do not go together. Last: its minute has passed here.
    async def completed() -> bool:
        deployment = await service_client.read_deployment_by_name(RECOVERY)
        runs = await service_client.read_flow_runs(
            flow_run_filter=FlowRunFilter(
                deployment_id=FlowRunFilterDeploymentId(any_=[deployment.id]),
                state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.COMPLETED])),
            )
        )
        return any(run.auto_scheduled for run in runs)

    await until_async(completed, seconds=240)
