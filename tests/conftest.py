"""Fixtures every test may use."""

import fcntl
import gc
import logging
import os
import signal
import subprocess
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from blocks.limits import memory
from blocks.settings import settings
from deployments.server import temporary_server
from tests.databases import postgres_url, redis_url
from tests.environment import tiny_chunkformer_settings, tiny_whisper_settings
from tests.sharing import LONG, ByServer

__all__ = ["postgres_url", "redis_url"]

# Before Prefect is imported anywhere: the tests' own profile and a quiet console.
os.environ["PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL"] = "CRITICAL"
os.environ.pop("PREFECT_API_URL", None)

ROOT = Path(__file__).parent.parent

# Each of Prefect's clients reads all certificates there are. Our servers are on loopback, without TLS.
os.environ["PREFECT_API_SSL_CERT_FILE"] = str(ROOT / "tests" / "one-certificate.pem")


# A shell has its background commands ignore it, their children too: tests that send it would wait in vain.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# No test measures time: a busy machine fails none.
hypothesis_settings.register_profile(
    "c500", deadline=None, derandomize="CI" in os.environ, suppress_health_check=[HealthCheck.too_slow]
)
hypothesis_settings.load_profile("c500")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put what takes longest first."""
    items.sort(key=lambda item: item.nodeid.split("::")[0] not in LONG)


def pytest_collection_finish() -> None:
    """Have the garbage collector leave out what stays until the end."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Tests that share a service run in one process, which starts it once."""
    if config.getoption("dist") != "loadfile":
        return None
    return ByServer(config, log)


@pytest.fixture(autouse=True)
def private_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every test has its own store, logs and limits, and no setting of the machine leaks in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("AUDIO_DIR", str(tmp_path / "store"))
    monkeypatch.setenv("LOG_DIR", str(tmp_path / "logs"))
    monkeypatch.setenv("SERVICE_DIR", str(tmp_path / "service"))
    monkeypatch.setenv("ACCOUNTS_FILE", str(tmp_path / "accounts.yaml"))
    monkeypatch.setenv("LIMITER_URL", f"sqlite:///{tmp_path}/limits.db")
    monkeypatch.setenv("BOOKS_URL", f"sqlite:///{tmp_path}/books.db")
    monkeypatch.setenv("AGENTS_HOME", str(tmp_path / "agents"))
    settings.cache_clear()
    monkeypatch.setattr(memory, "OF_THIS_PROCESS", memory.MemoryLimiter())
    yield
    settings.cache_clear()
    logging.getLogger("c500").handlers = [logging.NullHandler()]  # else the next test writes into this one's folder


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


@pytest.fixture(scope="session")
def tiny_whisper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a Whisper of random weights; see `tests.fakes.tiny_models`.

    The workers of pytest-xdist share it: what builds it takes seconds to import.
    """
    if not all(map(find_spec, ("torch", "transformers"))):
        pytest.skip("torch or transformers is not installed")
    folder = tmp_path_factory.getbasetemp()
    models = (folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder) / "shared-models"
    models.mkdir(exist_ok=True)
    with (models / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (models / "whisper").exists():
            from tests.fakes.tiny_models import build_whisper

            build_whisper(models / "new").rename(models / "whisper")
    return models / "whisper"


@pytest.fixture
def whisper(tiny_whisper: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The settings name the tiny Whisper: greedy, on the CPU."""
    for name, value in tiny_whisper_settings(tiny_whisper).items():
        monkeypatch.setenv(name, value)
    settings.cache_clear()
    return tiny_whisper


@pytest.fixture(scope="session")
def tiny_chunkformer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a ChunkFormer of random weights."""
    pytest.importorskip("chunkformer")
    from tests.fakes.tiny_models import build_chunkformer

    return build_chunkformer(tmp_path_factory.mktemp("models") / "chunkformer")


@pytest.fixture
def chunkformer(tiny_chunkformer: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The settings name the tiny ChunkFormer, on the CPU."""
    for name, value in tiny_chunkformer_settings(tiny_chunkformer).items():
        monkeypatch.setenv(name, value)
    settings.cache_clear()
    return tiny_chunkformer
