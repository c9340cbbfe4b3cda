"""State and archives of II-Agent sessions on this machine, by age."""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from blocks.iiagent.state import FILE, LEASES, read_state
from blocks.store.scratch import locked
from blocks.subjects.subject import Traces

Line = dict[str, Any]


def archives(root: Path, before: datetime, held: tuple[Traces, ...]) -> Iterator[Line]:
    """What is to become of each session's folder. Raises `StoreFailed` where a state cannot be read."""
    for path in sorted(root.glob("*/session.json")):
        folder = path.parent
        state = read_state(folder)
        names = {folder.name, state.session_id if state else ""}
        if _touched(folder) >= before:
            yield {"path": folder.name, "status": "kept", "why": "young"}
        elif any(not one.ids.isdisjoint(names) for one in held):
            yield {"path": folder.name, "status": "kept", "why": "held"}
        elif state is not None and state.status == "RUNNING":
            yield {"path": folder.name, "status": "kept", "why": "at work"}
        else:
            yield {"path": folder.name, "status": "planned", "why": "expired"}


def removed_archive(root: Path, name: str, before: datetime) -> Line:
    """Remove a session's folder, unless somebody drives it, or it was written to since."""
    folder = root / name
    state = read_state(folder)
    with ExitStack() as alone:
        if state is not None and state.session_id:
            (root / LEASES).mkdir(mode=0o700, exist_ok=True)
            if not alone.enter_context(locked(root / LEASES / f"{state.session_id}.lock", wait=False)):
                return {"status": "kept", "why": "at work"}
        if _touched(folder) >= before:
            return {"status": "changed"}
        # What names the folder a session goes last: a killed cleanup is gone on with by it.
        for path in sorted(folder.iterdir(), key=lambda one: one.name == FILE):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        folder.rmdir()
    return {"status": "deleted"}


def _touched(folder: Path) -> datetime:
    """When the latest of its own files was written."""
    times = [path.lstat().st_mtime for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    return datetime.fromtimestamp(max(times, default=0.0), UTC)
