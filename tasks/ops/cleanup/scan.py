"""Looking through a tree by open folders: no link is followed, no other mount entered."""

import os
import stat
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from errno import ELOOP
from pathlib import Path
from typing import NamedTuple

from tasks.ops.cleanup import calls
from tasks.ops.cleanup.calls import Facts, look

TRASH = ".trash"
"""Beside what is cleaned, so that moving there is one rename; never looked through."""

MOST_DEEP = 100
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class File(NamedTuple):
    """A plain file that was seen.

    Attributes:
        name: In its folder; bytes that are no UTF-8 are surrogates, as Python's `os` has them.
        facts: What the system said.
    """

    name: str
    facts: Facts


@dataclass(frozen=True)
class Folder:
    """A folder that was seen.

    Attributes:
        parts: Names from the root on.
        facts: What the system said of it.
        files: The plain files in it.
        writable: Whether names in it can be removed.
    """

    parts: tuple[str, ...]
    facts: Facts
    files: list[File]
    writable: bool

    def path(self, name: str) -> str:
        """The path of a name in it, from the root on."""
        return "/".join((*self.parts, name))


@dataclass
class Skipped:
    """What was not looked at, and why.

    Attributes:
        counts: How many, by reason: `link`, `special`, `mount`, `unreadable`, `deep`.
        paths: The first of them.
    """

    counts: Counter[str] = field(default_factory=Counter[str])
    paths: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])

    def add(self, path: str, why: str) -> None:
        """Note one."""
        self.counts[why] += 1
        if len(self.paths) < 1000:
            self.paths.append((path, why))


def open_folder(root: Path, parts: tuple[str, ...]) -> int:
    """Open a folder below the root, no part of the way a link. Raises `OSError`."""
    handle = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    for part in parts:
        try:
            inner = os.open(part, FOLDER, dir_fd=handle)
        finally:
            os.close(handle)
        handle = inner
    return handle


@dataclass(frozen=True)
class Scan:
    """A look through a tree.

    Attributes:
        root: Where it begins.
        below: Only this folder of it; empty for all.
        cross_mounts: Whether to go into other mounts.
        skipped: Takes what is not looked at.
        check: Called at each folder; raises to end it.
    """

    root: Path
    below: str = ""
    cross_mounts: bool = False
    skipped: Skipped = field(default_factory=Skipped)
    check: Callable[[], None] = lambda: None

    def folders(self) -> Iterator[Folder]:
        """All folders with their plain files, a folder before what is in it; none where there is no tree.

        Raises:
            OSError: the root cannot be opened.
        """
        parts = (self.below,) if self.below else ()
        try:
            handle = open_folder(self.root, parts)
        except FileNotFoundError:
            return
        try:
            yield from self._walk(handle, parts, look("", handle).mount)
        finally:
            os.close(handle)

    def _walk(self, handle: int, parts: tuple[str, ...], mount: int) -> Iterator[Folder]:
        self.check()
        files: list[File] = []
        inner: list[str] = []
        with os.scandir(handle) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    inner.append(entry.name)
                elif entry.is_file(follow_symlinks=False):
                    with suppress(FileNotFoundError):
                        files.append(File(entry.name, look(entry.name, handle)))
                else:
                    self.skipped.add("/".join((*parts, entry.name)), "link" if entry.is_symlink() else "special")
        # Folders may be swapped while we look, so what is said of one comes from the open folder itself.
        yield Folder(parts, look("", handle), files, _is_writable(handle))
        for name in inner:
            if (parts, name) != ((), TRASH):
                yield from self._enter(handle, (*parts, name), mount)

    def _enter(self, above: int, parts: tuple[str, ...], mount: int) -> Iterator[Folder]:
        path = "/".join(parts)
        if len(parts) > MOST_DEEP:
            return self.skipped.add(path, "deep")
        try:
            handle = os.open(parts[-1], FOLDER, dir_fd=above)
        except FileNotFoundError:
            return None
        except NotADirectoryError:
            return self.skipped.add(path, "link")  # swapped meanwhile; O_NOFOLLOW says so of links to folders
        except OSError as error:
            return self.skipped.add(path, "link" if error.errno == ELOOP else "unreadable")
        try:
            if not self.cross_mounts and look("", handle).mount != mount:
                return self.skipped.add(path, "mount")
            yield from self._walk(handle, parts, mount)
        finally:
            os.close(handle)


def _is_writable(handle: int) -> bool:
    """Whether names in the folder can be removed, as far as permissions and attributes tell."""
    facts = look("", handle)
    if facts.attributes & (calls.IMMUTABLE | calls.APPEND_ONLY):
        return False
    if facts.mode & stat.S_ISVTX and os.geteuid() not in (0, facts.uid):
        return False
    return os.access(".", os.W_OK | os.X_OK, dir_fd=handle, effective_ids=True)
