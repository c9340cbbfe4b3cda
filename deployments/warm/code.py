"""Which code a process has loaded that may change under it, and whether it did."""

import os
import site
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.machinery import PathFinder
from pathlib import Path

Fingerprint = frozenset[tuple[str, int, int]]
"""Path, time of change in nanoseconds and size in bytes of each source file."""


def roots(failed: Iterable[str] = ()) -> list[str]:
    """Folders of the loaded modules that are not installed ones, and site-packages.

    All modules of a folder count, also those that are loaded later: they must fit those that are.

    Args:
        failed: Modules that could not be loaded: their folders count too, so that it is seen when they are mended.
    """
    installed = tuple(f"{Path(folder).resolve()}{os.sep}" for folder in (*site.getsitepackages(), _standard_library()))
    files = {str(file) for module in list(sys.modules.values()) if (file := getattr(module, "__file__", None))}
    files |= {file for name in failed if (file := _file_of(name))}
    folders = {str(Path(file).resolve().parent) for file in files}
    return sorted({folder for folder in folders if not f"{folder}{os.sep}".startswith(installed)} | _site_packages())


def _file_of(name: str) -> str | None:
    """Where the code of a module lies that is not loaded; of the package that holds it when that is not, either."""
    parent = name.rpartition(".")[0]
    if parent and parent not in sys.modules:
        return _file_of(parent)
    found = PathFinder.find_spec(name, getattr(sys.modules[parent], "__path__", []) if parent else None)
    return found.origin if found and found.has_location else None


def fingerprint(folders: list[str]) -> Fingerprint:
    """What the code in these folders looks like now."""
    return frozenset(entry for folder in folders for entry in _entries(folder))


def _entries(folder: str) -> Iterator[tuple[str, int, int]]:
    if folder in _site_packages():
        yield from _seen(folder)  # installing anything changes the folder itself
        return
    try:
        names = os.listdir(folder)  # noqa: PTH208 - before every run
    except OSError:
        return
    for name in names:
        if name.endswith(".py"):
            yield from _seen(f"{folder}{os.sep}{name}")


def _seen(path: str) -> Iterator[tuple[str, int, int]]:
    try:
        status = os.stat(path)  # noqa: PTH116 - before every run
    except OSError:  # it was removed just now
        return
    yield path, status.st_mtime_ns, status.st_size


@cache
def _site_packages() -> set[str]:
    return {str(Path(folder).resolve()) for folder in site.getsitepackages()}


def _standard_library() -> str:
    return str(Path(os.__file__).parent)
