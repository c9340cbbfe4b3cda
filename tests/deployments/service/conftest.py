"""One service for the tests of this folder."""

from collections.abc import AsyncIterator, Iterator

import pytest
from prefect.client.orchestration import PrefectClient, get_client
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings

from blocks.settings import settings
from tests.service import Service, start_service


@pytest.fixture(scope="package")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One service for all tests of this folder; a test puts right what it breaks."""
    with start_service(tmp_path_factory.mktemp("up")) as running:
        yield running
    assert running.screen.read_text().splitlines()[-1] == "server: stopped"  # the last of them, and not by force


@pytest.fixture
async def service_client(service: Service, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[PrefectClient]:
    """A client of the service's Prefect server; this process has the service's settings."""
    for name in ("AUDIO_DIR", "LOG_DIR", "SERVICE_DIR"):
        monkeypatch.setenv(name, service.environment[name])
    settings.cache_clear()
    with temporary_settings({PREFECT_API_URL: service.api_url, PREFECT_API_AUTH_STRING: service.auth}):
        async with get_client() as client:
            yield client
