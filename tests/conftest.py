"""Fixtures every test may use."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from blocks.settings import settings


@pytest.fixture(autouse=True)
def private_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every test has its own store and logs, and no setting of the machine leaks in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AUDIO_DIR", str(tmp_path / "store"))
    monkeypatch.setenv("LOG_DIR", str(tmp_path / "logs"))
    settings.cache_clear()
    yield
    settings.cache_clear()
