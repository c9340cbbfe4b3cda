"""A tree cleaned, purged and restored by a process that is killed at any of its calls; see `tests.blocks.crashes`."""

import gzip
import time
from datetime import UTC, datetime
from pathlib import Path

from tasks.ops.cleanup.bin import batch_name, batches, purge, recover, restore
from tasks.ops.cleanup.choose import choose
from tasks.ops.cleanup.remove import Remover
from tasks.ops.cleanup.rules import Retention, Tree
from tasks.ops.cleanup.scan import Scan
from tests.tasks.ops.cleanup.conftest import DAY_S, make_file, names

OLD = {"a.log", "web/b.log", "web/c.log"}
YOUNG = {"young.log", "web/young.log", "web/notes.txt"}
AT = datetime(2026, 11, 22, tzinfo=UTC)


def rules(root: Path, way: str) -> Tree:
    kept: dict[str, float] = {"trash_days": 1} if way == "trash" else {"trash_days": 0}
    if way == "compress":
        kept |= {"compress_days": 7, "days": 60}
    return Tree(name="logs", root=root, retention=Retention.model_validate(kept))


def prepare(folder: Path) -> None:
    for name in OLD:
        make_file(folder / name, age_s=30 * DAY_S)
    for name in YOUNG:
        make_file(folder / name, age_s=DAY_S)


def clean(folder: Path, way: str) -> None:
    tree = rules(folder, way)
    recover(folder, AT)
    plan = choose(Scan(folder).folders(), tree, now_ns=time.time_ns())
    batch = batch_name(folder, tree.name, "run-1", AT)
    Remover(folder, batch, lambda line: None, lambda: None).run(plan)


def kept(folder: Path) -> set[str]:
    """What is in the trash, by where it was."""
    return {str(Path(*path.parts[1:])) for path in _in_trash(folder)}


def _in_trash(folder: Path) -> list[Path]:
    trash = folder / ".trash"
    return [path.relative_to(trash) for path in trash.rglob("*") if path.is_file()]


def check_deleted(folder: Path, killed: bool) -> None:
    assert names(folder) >= YOUNG
    if killed:
        assert len(kept(folder)) <= 1
        clean(folder, "delete")
    assert names(folder) == YOUNG
    assert not _in_trash(folder)


def check_trashed(folder: Path, killed: bool) -> None:
    assert names(folder) >= YOUNG
    assert (names(folder) - YOUNG) | kept(folder) == OLD
    if killed:
        clean(folder, "trash")
    assert names(folder) == YOUNG
    assert kept(folder) == OLD
    assert len(batches(folder)) == 1


def check_compressed(folder: Path, killed: bool) -> None:
    if killed:
        for name in OLD:
            there = folder / name
            assert there.exists() or gzip.decompress((folder / f"{name}.gz").read_bytes()) or name in kept(folder)
        clean(folder, "compress")
    assert names(folder) == YOUNG | {f"{name}.gz" for name in OLD}
    assert all(gzip.decompress((folder / f"{name}.gz").read_bytes()) == b"x" * 100 for name in OLD)
    assert not _in_trash(folder)


def prepare_trash(folder: Path) -> None:
    prepare(folder)
    clean(folder, "trash")


def check_restored(folder: Path, killed: bool) -> None:
    assert (names(folder) - YOUNG) | kept(folder) == OLD
    if killed and (left := batches(folder)) and left[0].files:
        restore(folder, left[0].batch_id)
    assert names(folder) == YOUNG | OLD


def check_purged(folder: Path, killed: bool) -> None:
    assert names(folder) == YOUNG
    if killed:
        purge_all(folder)
    assert not batches(folder)


def purge_all(folder: Path) -> None:
    for batch in batches(folder):
        purge(folder, batch)


CASES = (
    (prepare, lambda folder: clean(folder, "delete"), check_deleted),
    (prepare, lambda folder: clean(folder, "trash"), check_trashed),
    (prepare, lambda folder: clean(folder, "compress"), check_compressed),
    (prepare_trash, lambda folder: restore(folder, batches(folder)[0].batch_id), check_restored),
    (prepare_trash, purge_all, check_purged),
)
