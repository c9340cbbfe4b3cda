"""Files a second that a cleanup deletes, with all its looks and its report, against `find -delete` on the same tree."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from blocks.store.local import LocalFiles
from tasks.ops.cleanup.choose import choose
from tasks.ops.cleanup.holders import open_files
from tasks.ops.cleanup.remove import Remover
from tasks.ops.cleanup.report import Lines
from tasks.ops.cleanup.rules import Retention, Tree
from tasks.ops.cleanup.scan import Scan

NAME = "cleanup"
UNIT = "x slower"
GOAL = 3.0

FILES = {True: 10_000, False: 100_000}
ROUNDS = {True: 3, False: 3}
PER_FOLDER = 200
DAY_S = 86_400
BATCH = "20261122T000000Z.logs.bench"


def measure(quick: bool) -> float:
    """Our time / that of find, the median of rounds that take turns; half of the files are old."""
    number = FILES[quick]
    ways: dict[str, Callable[[Path], None]] = {"find": _find, "delete": _ours(0), "trash": _ours(1)}
    times: dict[str, list[float]] = {name: [] for name in ways}
    with tempfile.TemporaryDirectory(prefix="c500-bench-") as folder:
        for _ in range(ROUNDS[quick]):
            for name, way in ways.items():
                root = Path(folder) / "tree"
                _make(root, number)
                begin = time.perf_counter()
                way(root)
                times[name].append(time.perf_counter() - begin)
                left = sum(1 for path in root.rglob("*.log") if ".trash" not in path.parts)
                if left != number // 2:
                    raise AssertionError(f"{name} left {left} of {number} files")
                shutil.rmtree(root)
    for name, taken in times.items():
        rates = ", ".join(f"{number / 2 / one:,.0f}" for one in taken)
        print(f"{name:7} {rates} files/s deleted ({number:,} looked at)", flush=True)
    ratios = [ours / theirs for ours, theirs in zip(times["delete"], times["find"], strict=True)]
    return median(ratios)


def _make(root: Path, number: int) -> None:
    old = time.time() - 30 * DAY_S
    for index in range(number):
        folder = root / f"{index // PER_FOLDER % 20}" / f"{index // PER_FOLDER}"
        if index % PER_FOLDER == 0:
            folder.mkdir(parents=True)
        path = f"{folder}/{index}.log"
        handle = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
        os.write(handle, b"a line of a log\n" * 20)
        os.close(handle)
        if index % 2:
            os.utime(path, (old, old))


def _find(root: Path) -> None:
    subprocess.run(["find", str(root), "-xdev", "-type", "f", "-name", "*.log", "-mtime", "+7", "-delete"], check=True)


def _ours(trash_days: float) -> Callable[[Path], None]:
    """All that the flow does for a tree but for Prefect, ledger and audit, which cost the same for any number."""

    def clean(root: Path) -> None:
        tree = Tree(name="logs", root=root, retention=Retention(trash_days=trash_days))
        files, intended, lines = LocalFiles(root.parent / "store"), Lines(), Lines()
        plan = choose(Scan(root).folders(), tree, now_ns=time.time_ns(), opened=open_files())
        for folder, items in plan.folders:
            for item in items:
                intended.add({"path": folder.path(item.file.name), "status": "intended"})
        intended.put(files, "intended.jsonl")
        Remover(root, BATCH, lines.add, lambda: None).run(plan)
        open_files(deleted=True)
        lines.put(files, "report.jsonl")

    return clean
