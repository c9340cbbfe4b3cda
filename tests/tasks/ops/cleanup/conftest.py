"""Trees of files to clean, and what cleans them."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from blocks.store import open_store
from tasks.ops.cleanup.clock import Clock
from tasks.ops.cleanup.rules import Retention, Tree
from tasks.ops.cleanup.tree import Cleanup
from tests.tasks.ops.conftest import MakePerformer

DAY_S = 86_400
OLD_S = 30 * DAY_S

MakeFile = Callable[..., Path]
MakeCleanup = Callable[..., Cleanup]


def make_file(path: Path, *, age_s: float = OLD_S, size_bytes: int = 100) -> Path:
    """A file that was last written so many seconds ago."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size_bytes)
    return aged(path, age_s)


def aged(path: Path, age_s: float = OLD_S) -> Path:
    """Have a file say that it was last written so many seconds ago."""
    moment = time.time() - age_s
    os.utime(path, (moment, moment), follow_symlinks=False)
    return path


def logs_tree(root: Path, **retention: Any) -> Tree:
    """Rules for log files; deleted at once unless told otherwise."""
    return Tree(name="logs", root=root, retention=Retention.model_validate({"trash_days": 0} | retention))


def names(root: Path) -> set[str]:
    """All files below a folder, without the trash."""
    found = (path.relative_to(root) for path in root.rglob("*") if path.is_symlink() or not path.is_dir())
    return {str(path) for path in found if path.parts[0] != ".trash"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder for log files."""
    path = tmp_path / "tree"
    path.mkdir()
    return path


@pytest.fixture
def make_cleanup(make_performer: MakePerformer) -> MakeCleanup:
    """Make cleanups, as `make_cleanup(dry_run=True)`."""

    def make(clock: Clock | None = None, **facts: Any) -> Cleanup:
        return Cleanup(make_performer(**facts), open_store(), clock or Clock())

    return make


@contextmanager
def mounted(place: Path, *options: str) -> Iterator[Path]:
    """Something mounted on a folder; only root may."""
    if not place.exists():
        place.mkdir()
    if os.geteuid() or subprocess.run(["mount", *options, str(place)], capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 4 MB."""
    with mounted(tmp_path / "small", "-t", "tmpfs", "-o", "size=4m", "none") as place:
        yield place


def fill(disk: Path) -> None:
    """Write until the disk is full, to the last byte."""
    with (disk / "filler").open("wb", buffering=0) as stream:
        for piece in (65536, 4096, 1):
            try:
                while stream.write(b"x" * piece):
                    pass
            except OSError:
                continue
