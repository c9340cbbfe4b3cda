"""A performer on real parts, in the folder that the settings of a test name."""

from collections.abc import Callable
from typing import Any

import pytest

from blocks.settings import settings
from tasks.ops.performer import Performer
from tests.tasks.ops.performers import performer_in

MakePerformer = Callable[..., Performer]


@pytest.fixture
def told() -> list[tuple[str, str]]:
    """Messages to the operators."""
    return []


@pytest.fixture
def make_performer(told: list[tuple[str, str]]) -> MakePerformer:
    """Make performers, as `make_performer(dry_run=True)`; whatever is asked is refused unless told otherwise."""

    async def tell(subject: str, body: str) -> None:
        told.append((subject, body))

    def make(**facts: Any) -> Performer:
        return performer_in(settings().agents_home, **{"tell": tell} | facts)

    return make
