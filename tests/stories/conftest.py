"""Fixtures of the stories."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from blocks.settings import settings
from tests.stories.house import House


@pytest.fixture
def house(tmp_path: Path, prefect_api: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    """An operator's files, with no agent and no rule of their own yet."""
    made = House(tmp_path)
    for folder in (made.workspace, tmp_path / "definitions"):
        folder.mkdir()
    made.rules()
    monkeypatch.setenv("AGENTS_DIR", str(tmp_path / "definitions"))
    monkeypatch.setenv("POLICY_FILE", str(tmp_path / "policy.yaml"))
    monkeypatch.setenv("MCP_FILE", str(tmp_path / "mcp.yaml"))
    settings.cache_clear()
    yield made
    settings.cache_clear()
