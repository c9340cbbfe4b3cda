"""Which code a process has loaded that may change under it, and whether it did."""

import os
import site
import sys
from collections.abc import Iterator
from pathlib import Path

Fingerprint = frozenset[tuple[str, int, int]]
"""Path, time of change in nanoseconds and size in bytes of each source file."""


def roots() -> list[str]:
    """Folders of the loaded top-level packages (files of the modules) that are not installed, and site-packages.

    All files of a package count, also those that are loaded later: they must fit those that are.
    """
    installed = tuple(str(Path(prefix).resolve()) for prefix in (*site.getsitepackages(), _standard_library()))
    found = set(site.getsitepackages())
    for name in {name.partition(".")[0] for name in sys.modules}:
        file = getattr(sys.modules.get(name), "__file__", None)
        folders = list(getattr(sys.modules.get(name), "__path__", []))
        for place in folders or ([file] if file else []):
            if not str(Path(place).resolve()).startswith(installed):
                found.add(str(place))
    return sorted(found)


def fingerprint(places: list[str]) -> Fingerprint:
    """What the code at these places looks like now."""
    return frozenset(entry for place in places for entry in _entries(place))


def _entries(place: str) -> Iterator[tuple[str, int, int]]:
    if place in site.getsitepackages():
        yield from _stat(place)  # installing anything changes the folder itself
    elif Path(place).is_dir():
        yield from _sources(place)
    else:
        yield from _stat(place)


def _sources(folder: str) -> Iterator[tuple[str, int, int]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith(".py"):
                status = entry.stat()
                yield entry.path, status.st_mtime_ns, status.st_size
            elif not entry.name.startswith((".", "__pycache__")) and entry.is_dir(follow_symlinks=False):
                yield from _sources(entry.path)


def _stat(path: str) -> Iterator[tuple[str, int, int]]:
    try:
        status = os.stat(path)  # noqa: PTH116
    except OSError:
        return
    yield path, status.st_mtime_ns, status.st_size


def _standard_library() -> str:
    return str(Path(os.__file__).parent)
