"""A client of the session's server."""

from collections.abc import AsyncIterator

import pytest
from prefect.client.orchestration import PrefectClient, get_client


@pytest.fixture
async def client(prefect_api: str) -> AsyncIterator[PrefectClient]:
    """A client of the session's server."""
    async with get_client() as opened:
        yield opened
