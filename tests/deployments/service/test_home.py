"""The service's folder: one secret, one supervisor, and who is told what."""

import os
import stat
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from blocks.errors import Conflict, EngineUnavailable, NotAllowed, StoreFailed
from blocks.settings import settings
from deployments.cli import app, load_commands
from deployments.server import client_auth, running_server, use_server
from deployments.service.home import (
    CLIENT_AUTH,
    SERVER_AUTH,
    Running,
    auth_for,
    forget_running,
    make_auth_string,
    only_one,
    read_running,
    service_dir,
    write_running,
)
from tests.processes import free_port
from tests.service import Service

URL = "http://127.0.0.1:4200/api"
SECRET = "c500:kept-secret"


def running(pid: int | None = None, api_url: str = URL) -> Running:
    return Running(
        pid=pid or os.getpid(), api_url=api_url, gateway_url="http://127.0.0.1:8000", started_at=datetime.now(UTC)
    )


def keep(secret: str) -> None:
    service_dir().mkdir(parents=True)
    (service_dir() / "auth").write_text(secret)


def test_the_secret_is_made_once_and_closed_to_others() -> None:
    first = make_auth_string()
    assert make_auth_string() == first
    user, _, password = first.partition(":")
    assert (user, len(password) >= 40) == ("c500", True)
    assert stat.S_IMODE((service_dir() / "auth").stat().st_mode) == 0o600


def test_a_given_secret_is_used_and_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SERVER_AUTH, "ops:chosen")
    assert make_auth_string() == "ops:chosen"
    assert not (service_dir() / "auth").exists()


def test_the_secret_goes_to_the_services_own_server_only() -> None:
    keep(SECRET)
    assert auth_for(URL) is None  # nothing runs
    with only_one():
        write_running(running())
        assert auth_for(URL) == SECRET
        assert auth_for("http://elsewhere:4200/api") is None


def test_a_service_whose_supervisor_died_is_not_running_though_its_number_is_taken_again() -> None:
    service_dir().mkdir(parents=True)
    hold = (
        "import signal; from deployments.service.home import only_one\n"
        "with only_one(): print('held', flush=True); signal.pause()"
    )
    with subprocess.Popen([sys.executable, "-c", hold], stdout=subprocess.PIPE, text=True) as supervisor:
        assert supervisor.stdout
        assert supervisor.stdout.readline() == "held\n"
        write_running(running(pid=os.getpid()))  # a number that is certain to be taken
        assert read_running()
        supervisor.kill()
    assert read_running() is None


def test_looking_for_a_service_keeps_none_from_starting() -> None:
    with only_one():
        write_running(running())
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            read_running()

    looking = threading.Thread(target=look)
    looking.start()
    try:
        for _ in range(50):
            with only_one():
                pass
    finally:
        stop.set()
        looking.join()


def test_a_secret_that_was_only_begun_is_made_again() -> None:
    keep("")
    assert make_auth_string().startswith("c500:")
    assert make_auth_string() == (service_dir() / "auth").read_text().strip()


def test_a_service_that_ended_is_forgotten() -> None:
    with only_one():
        write_running(running())
        assert read_running()
        forget_running()
        assert read_running() is None


def test_there_is_only_one_supervisor() -> None:
    with only_one(), pytest.raises(Conflict, match="another `c500 up`"), only_one():
        pass
    with only_one():
        pass


def test_a_folder_that_cannot_be_made_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("SERVICE_DIR", str(tmp_path / "file" / "service"))
    settings.cache_clear()
    with pytest.raises(StoreFailed, match="Not a directory"), only_one():
        pass


def test_a_command_uses_the_running_service(service: Service) -> None:
    keep(service.auth)
    with only_one():
        write_running(running(api_url=service.api_url))
        assert running_server() == service.api_url
        assert client_auth(service.api_url) == {CLIENT_AUTH: service.auth}
        with use_server() as url:
            assert url == service.api_url
            assert os.environ[CLIENT_AUTH] == service.auth
    assert CLIENT_AUTH not in os.environ


def test_a_configured_server_that_refuses_us_is_an_error(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", service.api_url)
    with pytest.raises(NotAllowed, match="wants another PREFECT_API_AUTH_STRING"):
        running_server()
    monkeypatch.setenv(CLIENT_AUTH, service.auth)
    assert running_server() == service.api_url


def test_the_service_of_somebody_else_is_passed_over(service: Service) -> None:
    keep("c500:another-secret")
    with only_one():
        write_running(running(api_url=service.api_url))
        assert running_server() != service.api_url


def test_status_tells_a_service_whose_server_is_away_from_none() -> None:
    load_commands()

    def status() -> str:
        refused = CliRunner().invoke(app, ["status"]).exception
        assert isinstance(refused, EngineUnavailable)
        assert refused.exit_code == 1
        return refused.message

    assert "no service runs here" in status()
    nobody = f"http://127.0.0.1:{free_port()}/api"
    with only_one():
        write_running(running(api_url=nobody))
        assert f"does not answer at {nobody}" in status()
