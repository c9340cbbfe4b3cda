"""A hub to pull from, a folder to pull into, and a small model to pull."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from blocks.models.manifest import MANIFEST
from blocks.settings import settings
from tests.fakes.hub import FakeHub, Files, fake_hub

REPO = "Systran/faster-whisper-tiny"
BIG = 26_000_000
"""More than two of the client's blocks of 10 MB: it loses what it has of an unfinished one."""


@pytest.fixture(autouse=True)
def models_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty MODELS_DIR, and no token of this machine's user."""
    monkeypatch.setenv("MODELS_DIR", str(tmp_path / "models"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    settings.cache_clear()
    return tmp_path / "models"


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    """A running hub."""
    with fake_hub() as running:
        yield running


def whisper(size_bytes: int = 5000) -> Files:
    weights = os.urandom(size_bytes)
    return {"config.json": b"{}", "model.bin": weights, "vocabulary.txt": b"a\nb\n", "README.md": b"# read me"}


def content_of(folder: Path) -> Files:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != MANIFEST}


def needed(files: Files) -> Files:
    return {path: data for path, data in files.items() if path != "README.md"}


def lay(folder: Path, files: Files) -> None:
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
