"""The service's folder: one secret, one supervisor, and who is told what."""

import os
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
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
from tests.processes import free_port

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


def test_a_command_uses_the_running_service(guarded_server: str) -> None:
    keep(SECRET)
    with only_one():
        write_running(running(api_url=guarded_server))
        assert running_server() == guarded_server
        assert client_auth(guarded_server) == {CLIENT_AUTH: SECRET}
        with use_server() as url:
            assert url == guarded_server
            assert os.environ[CLIENT_AUTH] == SECRET
    assert CLIENT_AUTH not in os.environ


def test_a_temporary_server_takes_nothing_of_other_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SERVER_AUTH, "ops:secret")
    monkeypatch.setenv("PREFECT_MESSAGING_BROKER", "prefect_redis.messaging")
    monkeypatch.setenv("PREFECT_REDIS_MESSAGING_URL", "redis://127.0.0.1:1/0")
    with temporary_server() as url:
        assert httpx.get(f"{url}/admin/version", timeout=60, trust_env=False).is_success


def test_a_configured_server_that_refuses_us_is_an_error(guarded_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", guarded_server)
    with pytest.raises(NotAllowed, match="wants another PREFECT_API_AUTH_STRING"):
        running_server()
    monkeypatch.setenv(CLIENT_AUTH, SECRET)
    assert running_server() == guarded_server


def test_the_service_of_somebody_else_is_passed_over(guarded_server: str) -> None:
    keep("c500:another-secret")
    with only_one():
        write_running(running(api_url=guarded_server))
        assert running_server() != guarded_server


def test_status_tells_a_service_whose_server_is_away_from_none() -> None:
    def status() -> str:
        run = subprocess.run(
            [sys.executable, "-m", "deployments", "status"], capture_output=True, text=True, timeout=60
        )
        assert run.returncode == 1
        return run.stderr

    assert "no service runs here" in status()
    nobody = f"http://127.0.0.1:{free_port()}/api"
    with only_one():
        write_running(running(api_url=nobody))
        assert f"does not answer at {nobody}" in status()
