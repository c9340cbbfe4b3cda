"""Stores for the tests of audits."""

from pathlib import Path

import pytest

from blocks.store import Files, LocalFiles, open_store
from tests.blocks.store.conftest import moto_url, s3_settings

__all__ = ["moto_url", "s3_settings"]


@pytest.fixture
def files(tmp_path: Path) -> LocalFiles:
    """The store of the settings of a test."""
    return LocalFiles(tmp_path / "store")


@pytest.fixture
def s3_files(s3_settings: str) -> Files:
    """A store in S3."""
    return open_store()
