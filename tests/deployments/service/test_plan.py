"""What each part is given: its own secrets, absolute paths, and nothing on its command line."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

from blocks.settings import settings
from deployments.service.home import CLIENT_AUTH, SERVER_AUTH
from deployments.service.part import Part
from deployments.service.plan import ServicePlan, settings_environment, stages

SECRETS = {
    "SECRET_API_KEY": "hidden-key-0f3a9c5d7b1e2f4a6c8d0e1f2a3b4c5d",
    "SERVER_POSTGRES_URL": "postgresql://prefect:hidden-postgres@db/prefect",
    "SERVER_REDIS_URL": "redis://:hidden-redis@cache/0",
}


def plan(**changed: object) -> ServicePlan:
    fields: dict[str, object] = {
        "api_url": "http://127.0.0.1:4200/api",
        "auth": SecretStr("c500:hidden-auth"),
        "own_server": True,
        "host": "127.0.0.1",
        "port": 8000,
        "gpus": 1,
        "workers": 2,
        "limit": 3,
        "work": True,
    }
    return ServicePlan.model_validate(fields | changed)


def parts(**changed: object) -> dict[str, Part]:
    return {part.name: part for stage in stages(plan(**changed)) for part in stage}


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    settings.cache_clear()


def test_the_parts_and_their_order() -> None:
    assert [[part.name for part in stage] for stage in stages(plan())] == [
        ["server"],
        ["definitions"],
        ["worker-cpu-1", "worker-cpu-2", "worker-gpu-0", "worker-agents", "gateway"],
    ]
    assert list(parts(work=False, own_server=False)) == ["definitions", "gateway"]


def test_a_worker_has_its_pool_and_limit() -> None:
    made = parts()
    assert made["worker-cpu-2"].command[-2:] == ("--limit", "3")
    assert made["worker-gpu-0"].command[-2:] == ("--limit", "1")
    for name in ("worker-cpu-1", "worker-gpu-0"):
        assert made[name].environment["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"] == "30"


def test_no_secret_is_on_a_command_line(secrets: None) -> None:
    for part in parts().values():
        assert "hidden" not in " ".join(part.command)


def test_each_part_has_its_own_secrets_only(secrets: None) -> None:
    made = parts()
    server, worker, gateway = (made[name].environment for name in ("server", "worker-cpu-1", "gateway"))
    assert server["PREFECT_SERVER_DATABASE_CONNECTION_URL"] == "postgresql+asyncpg://prefect:hidden-postgres@db/prefect"
    assert server["PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE"] == "prefect_redis.lease_storage"
    assert server[SERVER_AUTH] == worker[CLIENT_AUTH] == gateway[CLIENT_AUTH] == "c500:hidden-auth"
    assert gateway["SECRET_API_KEY"] == SECRETS["SECRET_API_KEY"]
    hidden = {name: value for name, value in worker.items() if "hidden" in value}
    assert hidden == {CLIENT_AUTH: "c500:hidden-auth"}
    assert "hidden-postgres" not in " ".join(gateway.values())
    assert "SECRET_API_KEY" not in server


def test_a_server_without_postgres_keeps_its_leases_in_files() -> None:
    server = parts()["server"].environment
    assert server["PREFECT_SERVER_DATABASE_CONNECTION_URL"].startswith("sqlite+aiosqlite:////")
    assert server["PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE"].endswith("filesystem")


def test_settings_of_dotenv_reach_the_parts_with_absolute_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("MODELS_DIR=weights\nOPENAI_LANGUAGE_API_KEY=hidden-engine-key\n")
    settings.cache_clear()
    environment = settings_environment()
    assert environment["MODELS_DIR"] == str(tmp_path / "weights")
    assert environment["OPENAI_LANGUAGE_API_KEY"] == "hidden-engine-key"
    assert parts()["worker-cpu-1"].environment["MODELS_DIR"] == str(tmp_path / "weights")
    assert "VAD_THRESHOLD" not in environment


BECOME = """
import os, sys
os.execve = lambda program, arguments, environment: print(arguments[2:], environment["SERVER_POSTGRES_URL"])
from deployments.cli import up
postgres, redis = "postgresql://u:hidden@h/d", "redis://:hidden@h"
sys.argv = ["c500", "up", "--port", "80", "--postgres", postgres, f"--redis={redis}", "--no-worker"]
up._start_again_without({"--postgres": postgres, "--redis": redis})
"""


def test_addresses_with_passwords_leave_the_command_line() -> None:
    run = subprocess.run([sys.executable, "-c", BECOME], capture_output=True, text=True, env=dict(os.environ))
    assert run.stdout == "['deployments', 'up', '--port', '80', '--no-worker'] postgresql://u:hidden@h/d\n", run.stderr
