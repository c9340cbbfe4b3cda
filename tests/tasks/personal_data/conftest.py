"""Worlds to plant data in: the store on disk or in S3, all else on this machine, and a real Prefect server."""

from collections.abc import Iterator

import pytest

from tasks.personal_data.holder import World
from tasks.personal_data.world import open_world
from tests.blocks.store.conftest import moto_url, s3_settings
from tests.tasks.personal_data.planted import Person

__all__ = ["moto_url", "s3_settings"]


@pytest.fixture
def world(prefect_api: str) -> Iterator[World]:
    """All places of the settings of a test."""
    assert prefect_api
    with open_world() as opened:
        yield opened


@pytest.fixture
def anna(tmp_path: object) -> Person:
    """A person of whom no other test has left anything on the server."""
    return Person(f"anna-{abs(hash(tmp_path))}")


@pytest.fixture
def bob(tmp_path: object) -> Person:
    """Somebody else."""
    return Person(f"bob-{abs(hash(tmp_path))}")
