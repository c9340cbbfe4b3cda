"""Places on this machine: folders of AGENTS_HOME, the limiter's file, the agents' metrics."""

import json
import shutil
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from blocks.errors import StoreFailed
from blocks.subjects.subject import Traces
from tasks.personal_data.holder import Content, Holder, Item, World

Owned = Callable[[Path, Traces], bool]
"""Whether a folder or file of AGENTS_HOME is a subject's."""

BUSY_S = 30.0

SHARED = ("downloads", "leases", "fleets")
"""Folders among those of sessions, with things of all of them; also ids that somebody may ask for."""

ENDS = (".json", ".jsonl", ".lock")
"""What stands after an id in names of files; other dots may be of the id itself."""


def home_holder(name: str, folder: str, what: str, owned: Owned, *, pattern: str = "*") -> Holder:
    """What lies in a folder of AGENTS_HOME, each somebody's as a whole.

    Args:
        name: Of the holder.
        folder: Which.
        what: What it keeps.
        owned: Whose a path is.
        pattern: Of the paths in the folder.
    """

    def find(world: World, traces: Traces) -> Iterator[Item]:
        root = world.home / folder
        for path in sorted(root.glob(pattern)) if _is_folder(root) else ():
            if path.name not in SHARED and not path.is_symlink() and owned(path, traces):
                yield Item(holder=name, key=path.relative_to(world.home).as_posix())

    return Holder(
        name=name,
        place=f"AGENTS_HOME: `{folder}/`",
        what=what,
        covers=(f"home:{folder}",),
        find=find,
        read=_read_tree,
        erase=lambda world, _traces, item, _name: _remove(world.home / item.key),
    )


def by_path_name(path: Path, traces: Traces) -> bool:
    """Whose it is says its name: that of their work, as others may name theirs as somebody is named."""
    return path.name in traces.works or (path.suffix in ENDS and path.stem in traces.works)


def by_json(*fields: str) -> Callable[[Path, Traces], bool]:
    """Whose it is says its name, or such a field of its JSON; of an id within a longer one, its beginning."""

    def owned(path: Path, traces: Traces) -> bool:
        if by_path_name(path, traces):
            return True
        for file in (path, path / "session.json", path / "manifest.json"):
            with suppress(OSError, ValueError):
                record: Any = json.loads(file.read_bytes())
                for field in fields:
                    value = record
                    for part in field.split("."):
                        value = value.get(part) if isinstance(value, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
                    if isinstance(value, str) and not set(value.split("/")).isdisjoint(traces.works):
                        return True
        return False

    return owned


def effects_holder() -> Holder:
    """What calls of tools have given, by which a run goes on."""

    def erase(world: World, _traces: Traces, item: Item, _name: str) -> None:
        path = world.home / item.key
        _remove(path)
        _remove(path.with_suffix(".lock"))

    plain = home_holder("effects", "effects", "what calls of tools gave", by_json("effect_id"), pattern="??/??/*.json")
    return replace(plain, erase=erase)


def limits_holder() -> Holder:
    """What a person used of limits, in the limiter's file."""

    def keys(world: World, traces: Traces) -> list[str]:
        if world.limits is None or not world.limits.exists():
            return []
        with closing(sqlite3.connect(world.limits, timeout=BUSY_S)) as database:
            found = [str(key) for (key,) in database.execute("SELECT key FROM windows ORDER BY key")]
        return [key for key in found if key.split("/")[1:-1] and "/".join(key.split("/")[1:-1]) in traces.ids]

    def find(world: World, traces: Traces) -> Iterator[Item]:
        for key in keys(world, traces):
            yield Item(holder="limits", key=key)

    def erase(world: World, _traces: Traces, item: Item, _name: str) -> None:
        if world.limits is not None:
            delete_rows(world.limits, "DELETE FROM windows WHERE key = ?", item.key)

    return Holder(
        name="limits",
        place="LIMITER_URL: table `windows`",
        what="what users, conversations and runs used of their limits lately",
        covers=("limits:windows",),
        find=find,
        read=lambda _world, _traces, item: iter(
            [(f"{item.key.replace('/', '_')}.json", json.dumps(item.key).encode())]
        ),
        erase=erase,
        scrub=lambda world: scrub_file(world.limits),
    )


def counted_holder() -> Holder:
    """Names of runs by which the agents' metrics count once."""

    def find(world: World, traces: Traces) -> Iterator[Item]:
        path = world.home / "metrics" / "metrics.db"
        if not path.exists():
            return
        with closing(sqlite3.connect(path, timeout=BUSY_S)) as database:
            for (key,) in database.execute("SELECT key FROM counted ORDER BY number"):
                if str(key).split("/")[0] in traces.works:
                    yield Item(holder="agent metrics", key=str(key))

    def erase(world: World, _traces: Traces, item: Item, _name: str) -> None:
        delete_rows(world.home / "metrics" / "metrics.db", "DELETE FROM counted WHERE key = ?", item.key)

    return Holder(
        name="agent metrics",
        place="AGENTS_HOME: `metrics/metrics.db`, table `counted`",
        what="names of what was counted once; the counters name nobody",
        covers=("home:metrics",),
        exported="only ids of runs, which the export names already",
        find=find,
        erase=erase,
        scrub=lambda world: scrub_file(world.home / "metrics" / "metrics.db"),
    )


def delete_rows(path: Path, statement: str, key: str) -> None:
    """Delete from an SQLite file; what is deleted is overwritten. Raises `StoreFailed`."""
    try:
        with closing(sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)) as database:
            database.execute("PRAGMA secure_delete=ON")
            database.execute(statement, (key,))
    except sqlite3.Error as error:
        raise StoreFailed(f"{path} cannot be changed: {error}", fix="see who holds it, then erase again") from error


def scrub_file(path: Path | None) -> None:
    """Write an SQLite file anew without what was deleted, and empty its log. Raises `StoreFailed`."""
    if path is None or not path.exists():
        return
    try:
        with closing(sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)) as database:
            database.execute("VACUUM")
            is_read = database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    except sqlite3.Error as error:
        raise StoreFailed(f"{path} cannot be changed: {error}", fix="see who holds it, then erase again") from error
    if is_read:
        raise StoreFailed(
            f"another process reads {path}: traces of what was erased are left in its log",
            fix="erase again when it has ended: it goes on",
        )


def _read_tree(world: World, _traces: Traces, item: Item) -> Iterator[tuple[str, Content]]:
    path = world.home / item.key
    for one in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if stat.S_ISREG(one.lstat().st_mode):
            yield one.relative_to(world.home).as_posix(), one.open("rb")


def _remove(path: Path) -> None:
    with suppress(FileNotFoundError):
        if stat.S_ISDIR(path.lstat().st_mode):
            shutil.rmtree(path)
        else:
            path.unlink()


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()
