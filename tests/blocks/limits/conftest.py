"""A limiter of each kind."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from blocks.limits.protocol import Limiter
from tests.blocks.limits.worlds import BACKENDS, Clock, new_limiters


@pytest.fixture
def clock() -> Clock:
    """What the limiter takes for the time."""
    return Clock()


@pytest.fixture(params=BACKENDS)
async def limiter(request: pytest.FixtureRequest, clock: Clock, tmp_path: Path) -> AsyncGenerator[Limiter]:
    """A limiter with empty books."""
    redis_url = request.getfixturevalue("redis_url") if request.param == "redis" else ""
    made, _ = new_limiters(request.param, clock, tmp_path, redis_url)
    yield made
    await made.close()
