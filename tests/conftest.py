"""Fixtures every test may use."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from blocks.settings import settings
from deployments.server import temporary_server

# Before Prefect is imported anywhere: the tests' own profile and a quiet console.
os.environ["PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL"] = "CRITICAL"
os.environ.pop("PREFECT_API_URL", None)


ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def private_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every test has its own store and logs, and no setting of the machine leaks in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("AUDIO_DIR", str(tmp_path / "store"))
    monkeypatch.setenv("LOG_DIR", str(tmp_path / "logs"))
    settings.cache_clear()
    yield
    settings.cache_clear()


@pytest.fixture(scope="session")
def running_prefect_server() -> Iterator[str]:
    """One real Prefect server for the whole session."""
    with temporary_server() as url:
        yield url


@pytest.fixture
def prefect_server(running_prefect_server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The server's API URL, also in the environment that child processes inherit."""
    monkeypatch.setenv("PREFECT_API_URL", running_prefect_server)
    return running_prefect_server


@pytest.fixture
def prefect_api(prefect_server: str) -> Iterator[str]:
    """The server's API URL, used by flows that this process runs."""
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with temporary_settings({PREFECT_API_URL: prefect_server}):
        yield prefect_server


SENTENCE = "Good morning everyone. Maria will call the customer before noon."


@pytest.fixture(scope="session")
def sentence(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few seconds of business English, spoken by flite, as WAV."""
    path = tmp_path_factory.mktemp("speech") / "sentence.wav"
    subprocess.run(["flite", "-voice", "rms", "-t", SENTENCE, "-o", str(path)], check=True)
    return path
