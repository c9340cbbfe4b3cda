"""A cleanup that is killed, wherever it is, is finished by another attempt, and its report has all of it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from blocks.store import open_store
from tasks.ops.cleanup.report import Part, read_lines
from tests.processes import until
from tests.tasks.ops.cleanup.conftest import DAY_S, aged, make_file

MODULE = "tests.tasks.ops.cleanup"


def test_killed_at_any_call_it_is_finished_by_another_attempt(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.blocks.crashes", f"{MODULE}.crash_cases", str(tmp_path / "crashes")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    points = [int(line) for line in done.stdout.split()]
    assert len(points) == 5
    assert min(points) > 5


def start(root: Path, trash_days: float) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", f"{MODULE}.run_cleanup", str(root), "run-1", str(trash_days)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, env=os.environ)


def make_tree(root: Path, number: int) -> set[str]:
    """So many files, three quarters of them old, with traps among them; the paths that are to go."""
    due: set[str] = set()
    for index in range(number):
        folder = root / f"{index % 50}" / f"{index // 50 % 20}"
        kind = index % 20
        name = f"{index}\n.log" if kind == 3 else f"{index}.log"
        folder.mkdir(parents=True, exist_ok=True)
        if kind == 5:
            (folder / name).symlink_to(root.parent / "outside.log")
        elif kind == 6:
            make_file(folder / name, age_s=-900)
        elif kind == 7:
            make_file(folder / f"{index}.keep")
            (folder / name).hardlink_to(folder / f"{index}.keep")
        elif kind in (8, 9):
            make_file(folder / name, age_s=DAY_S)
        else:
            make_file(folder / name, size_bytes=index % 5000)
            due.add(str((folder / name).relative_to(root)))
    return due


def left(root: Path) -> set[str]:
    return {
        os.path.relpath(os.path.join(folder, name), root)  # noqa: PTH118
        for folder, folders, files in os.walk(root)
        for name in files
        if ".trash" not in Path(folder).parts
    }


@pytest.mark.parametrize("trash_days", [0, 1])
@pytest.mark.parametrize(
    ("number", "kills"), [(1500, 2), pytest.param(100_000, 6, marks=[pytest.mark.soak, pytest.mark.timeout(1800)])]
)
def test_killed_in_the_midst_of_many_files(tmp_path: Path, number: int, kills: int, trash_days: float) -> None:
    root = tmp_path / "tree"
    outside = make_file(tmp_path / "outside.log")
    due = make_tree(root, number)
    before = left(root)
    first = root / sorted(due)[0]
    assert aged(first).exists()
    for kill in range(kills):
        bound = len(before) - len(due) * (kill + 1) // (kills + 1)
        process = start(root, trash_days)
        try:
            until(lambda: process.poll() is not None or len(left(root)) < bound, 600)  # noqa: B023
        finally:
            process.kill()
            process.wait()
    process = start(root, trash_days)
    output, _ = process.communicate(timeout=900)
    assert process.returncode == 0
    part = Part.model_validate_json(output)
    assert left(root) == before - due
    assert outside.exists()
    assert part.report
    told = {one["path"]: one["status"] for one in read_lines(open_store(), part.report)}
    ended = {"deleted", "trashed", "done before"}
    assert {path for path, status in told.items() if status in ended} == due
    trashed = [path for path in (root / ".trash").rglob("*") if path.is_file()]
    assert len(trashed) == (len(due) if trash_days else 0)
