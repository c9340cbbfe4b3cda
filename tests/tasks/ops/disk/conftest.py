"""A small file system of its own, mounted for the test, and healing with rules given as in a file."""

import os
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from blocks.hosts.inventory import ONLY_HERE, Inventory
from blocks.resource_locks import ResourceLocks
from blocks.store import open_store
from tasks.ops.disk.heal import heal_hosts
from tasks.ops.disk.report import DiskHealed
from tasks.ops.disk.rules import FORM
from tests.tasks.ops.conftest import MakePerformer

MB = 1_000_000
Heal = Callable[..., Awaitable[tuple[DiskHealed, ...]]]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 50 MB that can hold 200 files."""
    if os.geteuid() != 0:
        pytest.skip("only root mounts")
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={50 * MB},nr_inodes=200", "tmpfs", str(place)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip(f"nothing can be mounted here: {mounted.stderr.decode()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def fill(path: Path, size_bytes: int) -> Path:
    """A file of so many bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size_bytes)
    return path


def removing(place: Path, pattern: str = "*", **more: Any) -> dict[str, Any]:
    """An action that deletes files of a folder, when there are some."""
    return {
        "name": place.name,
        "place": str(place),
        "argv": ["find", str(place), "-xdev", "-type", "f", "-name", pattern, "-delete"],
        **more,
    }


@pytest.fixture
def heal(make_performer: MakePerformer, disk: Path) -> Heal:
    """Heal the small file system with these actions; keywords `rules` and `inventory`, others are the performer's."""

    async def run(
        *actions: dict[str, Any],
        rules: dict[str, Any] | None = None,
        inventory: Inventory = ONLY_HERE,
        owner: Any = None,
        **facts: Any,
    ) -> tuple[DiskHealed, ...]:
        told = {"filesystems": [str(disk)], "threshold_percent": 65, "actions": list(actions), **(rules or {})}
        performer = owner or make_performer(**facts)
        return await heal_hosts(performer, FORM.validate_python(told), inventory, ResourceLocks(open_store()))

    return run
