"""The service's folder: one secret, one supervisor, and who is told what."""

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from blocks.errors import Conflict, NotAllowed, StoreFailed
from blocks.settings import settings
from deployments.server import client_auth, running_server, temporary_server, use_server
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

URL = "http://127.0.0.1:4200/api"
SECRET = "c500:kept-secret"


def running(pid: int | None = None, api_url: str = URL) -> Running:
    return Running(
        pid=pid or os.getpid(), api_url=api_url, gateway_url="http://127.0.0.1:8000", started_at=datetime.now(UTC)
    )


@pytest.fixture(scope="module")
def guarded_server() -> Iterator[str]:
    """A Prefect server that wants a secret."""
    with temporary_server({SERVER_AUTH: SECRET}) as url:
        yield url


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
    write_running(running())
    assert auth_for(URL) == SECRET
    assert auth_for("http://elsewhere:4200/api") is None


def test_a_service_whose_supervisor_died_is_not_running() -> None:
    service_dir().mkdir(parents=True)
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    write_running(running(pid=dead.pid))
    assert read_running() is None


def test_a_service_that_ended_is_forgotten() -> None:
    service_dir().mkdir(parents=True)
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


def test_a_command_uses_the_running_service(guarded_server: str) -> None:
    keep(SECRET)
    write_running(running(api_url=guarded_server))
    assert running_server() == guarded_server
    assert client_auth(guarded_server) == {CLIENT_AUTH: SECRET}
    with use_server() as url:
        assert url == guarded_server
        assert os.environ[CLIENT_AUTH] == SECRET
    assert CLIENT_AUTH not in os.environ


def test_a_configured_server_that_refuses_us_is_an_error(guarded_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", guarded_server)
    with pytest.raises(NotAllowed, match="wants another PREFECT_API_AUTH_STRING"):
        running_server()
    monkeypatch.setenv(CLIENT_AUTH, SECRET)
    assert running_server() == guarded_server


def test_the_service_of_somebody_else_is_passed_over(guarded_server: str) -> None:
    keep("c500:another-secret")
    write_running(running(api_url=guarded_server))
    assert running_server() != guarded_server
