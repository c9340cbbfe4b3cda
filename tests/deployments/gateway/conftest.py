"""Gateways for the tests: of one test, of a module, and of a module that submits jobs."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from blocks.keys import KeyRing
from blocks.store import LocalFiles
from tests.conftest import ROOT
from tests.deployments.gateway.gateways import Gateway, SharedGateway, start_gateway
from tests.deployments.gateway.submitting import DEPTH, ask, clear, deploy, leftovers
from tests.deployments.gateway.working import end_forks


@pytest.fixture(scope="session", autouse=True)
def no_forkserver_left() -> Iterator[None]:
    """What did the tests' jobs ends with the tests."""
    yield
    end_forks()


@pytest.fixture
def gateway(prefect_server: str, tmp_path: Path) -> Iterator[Gateway]:
    """A gateway with the store and settings of this test and an API key with all scopes."""
    running = start_gateway(prefect_server, log=tmp_path / "gateway.log")
    yield running
    running.stop()


@pytest.fixture(scope="module")
def shared_gateway(running_prefect_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedGateway]:
    """A gateway with a store of its own for all tests of a module: it takes seconds to start."""
    folder = tmp_path_factory.mktemp("gateway")
    running = start_gateway(
        running_prefect_server,
        log=folder / "gateway.log",
        PYTHONPATH=str(ROOT),
        AUDIO_DIR=str(folder / "store"),
        LOG_DIR=str(folder),
    )
    files = LocalFiles(folder / "store")
    yield SharedGateway(**vars(running), files=files, logs=folder, keys=KeyRing(files))
    running.stop()


@pytest.fixture(scope="module")
def deployed(running_prefect_server: str) -> str:
    """A server with the deployments, and no jobs: what tests of other modules left waiting nobody shall do."""
    ask(running_prefect_server, deploy)
    ask(running_prefect_server, clear)
    return running_prefect_server


@pytest.fixture(scope="module")
def store_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of a module's gateway."""
    return tmp_path_factory.mktemp("gateway") / "store"


@pytest.fixture(scope="module")
def stranger(store_path: Path) -> str:
    """The secret of another key."""
    return KeyRing(LocalFiles(store_path)).create("stranger", ["submit", "read"])[0]


@pytest.fixture(scope="module")
def standing_gateway(deployed: str, store_path: Path, stranger: str) -> Iterator[Gateway]:
    """A gateway for all tests of a module: it gives clients two seconds and takes files of 5 MB."""
    running = start_gateway(
        deployed,
        log=store_path.parent / "gateway.log",
        PYTHONPATH=str(ROOT),
        AUDIO_DIR=str(store_path),
        LOG_DIR=str(store_path.parent / "logs"),
        CLIENT_IDLE_S="2",
        MAX_FILE_SIZE_MB="5",
        MAX_QUEUE_DEPTH=str(DEPTH),
    )
    yield running
    running.stop()


@pytest.fixture
def submitting(standing_gateway: Gateway, deployed: str, store_path: Path) -> Iterator[Gateway]:
    """The module's gateway with an empty queue and no uploads; nothing but whole uploads may be left behind."""
    shutil.rmtree(store_path / "uploads", ignore_errors=True)
    yield standing_gateway
    assert standing_gateway.process.poll() is None, "the gateway died"
    assert leftovers(store_path) == []
    ask(deployed, clear)
