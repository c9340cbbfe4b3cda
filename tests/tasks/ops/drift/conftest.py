"""Declared states in a folder, and looking at them on this machine."""

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from blocks.hosts.inventory import ONLY_HERE, Inventory
from blocks.store import open_store
from tasks.ops.drift.declared import read_declared
from tasks.ops.drift.detect import detect as detect_in
from tasks.ops.drift.found import Found
from tests.tasks.ops.conftest import MakePerformer

Detect = Callable[..., Awaitable[tuple[Found, ...]]]


@pytest.fixture
def detect(make_performer: MakePerformer, tmp_path: Path) -> Detect:
    """Look at a declared state, given as in a file; `inventory`, `correct` and `only` as of `detect`, others are the
    performer's."""

    async def run(
        state: Mapping[str, Any],
        inventory: Inventory = ONLY_HERE,
        *,
        correct: bool = True,
        only: tuple[str, ...] = (),
        owner: Any = None,
        **facts: Any,
    ) -> tuple[Found, ...]:
        path = tmp_path / "declared.yaml"
        path.write_text(yaml.safe_dump({"keep": str(tmp_path / "kept"), **state}))
        performer = owner or make_performer(**facts)
        return await detect_in(performer, read_declared(path), inventory, open_store(), correct=correct, only=only)

    return run


def of(**parts: Any) -> dict[str, Any]:
    """A state of one target on this machine."""
    return {"targets": [{"name": "web", **parts}]}
