"""Doing what a plan says, file by file: each is looked at again right before, and once more when nobody reaches it."""

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from errno import EEXIST, ENOSPC, EXDEV
from pathlib import Path
from typing import Any

from tasks.ops.cleanup.bin import GOING, Bin
from tasks.ops.cleanup.calls import Facts, look, move_new
from tasks.ops.cleanup.choose import Inode, Item, Plan, inode
from tasks.ops.cleanup.compress import SUFFIX, Changed, compress
from tasks.ops.cleanup.scan import Folder, open_folder

DONE = {"trash": "trashed", "delete": "deleted", "compress": "compressed"}
"""How a file ended that was dealt with; others end `gone` (somebody else took it), `changed` or `failed`."""

Tell = Callable[[dict[str, Any]], None]
Check = Callable[[], None]


@dataclass
class Removed:
    """What was done.

    Attributes:
        counts: How many files, by how they ended.
        freed_bytes: What got free on the disk, for all that was done.
        trashed_bytes: What files in the trash take.
        inodes: Files whose last name went; where one is open, its bytes are not free yet.
        troubles: The first files that could not be dealt with, and why.
    """

    counts: Counter[str] = field(default_factory=Counter[str])
    freed_bytes: int = 0
    trashed_bytes: int = 0
    inodes: dict[Inode, int] = field(default_factory=dict[Inode, int])
    troubles: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])


class Remover:
    """Does one plan.

    Args:
        root: Of the tree.
        batch: Name of the folder in the trash into which files are moved.
        tell: Takes what became of each file.
        check: Called before each; raises to end it.
    """

    def __init__(self, root: Path, batch: str, tell: Tell, check: Check) -> None:
        self._root, self._tell, self._check = root, tell, check
        self._kept, self._going = Bin(root, batch), Bin(root, f"{GOING}{batch.lower()}")
        self.removed = Removed()

    def run(self, plan: Plan) -> Removed:
        """Deal with all files. Deleting comes first: on a full disk the rest needs the room."""
        try:
            for compressing in (False, True):
                for folder, items in plan.folders:
                    mine = [item for item in items if (item.way == "compress") == compressing]
                    if mine:
                        self._folder(folder, mine)
        finally:
            self._going.close()
            self._kept.close()
        return self.removed

    def _folder(self, folder: Folder, items: list[Item]) -> None:
        self._check()
        try:
            source = open_folder(self._root, folder.parts)
        except OSError as error:
            return self._all(folder, items, "gone" if isinstance(error, FileNotFoundError) else "changed")
        try:
            found = look("", source)
            if (found.dev, found.ino, found.mount) != (folder.facts.dev, folder.facts.ino, folder.facts.mount):
                return self._all(folder, items, "changed")
            self._files(folder, items, source)
        finally:
            os.close(source)

    def _files(self, folder: Folder, items: list[Item], source: int) -> None:
        bins = {"trash": self._kept, "delete": self._going, "compress": self._going}
        targets: dict[str, int | None] = {}
        try:
            for item in items:
                self._check()
                if item.way not in targets:
                    targets[item.way] = _room(bins[item.way], folder.parts)
                self._one(folder, item, source, targets[item.way])
        finally:
            for handle in targets.values():
                if handle is not None:
                    os.close(handle)

    def _one(self, folder: Folder, item: Item, source: int, target: int | None) -> None:
        name, seen = item.file
        try:
            if not look(name, source).is_same(seen):
                raise Changed
            why = self._dealt(item, source, target)
            return self._ended(folder, item, DONE[item.way], why)
        except FileNotFoundError:
            return self._ended(folder, item, "gone")
        except Changed:
            return self._ended(folder, item, "changed")
        except OSError as error:
            return self._ended(folder, item, "failed", error.strerror or str(error))

    def _dealt(self, item: Item, source: int, target: int | None) -> str:
        name, seen = item.file
        if item.way == "trash":
            if target is None:
                raise OSError(ENOSPC, "no room for a folder in the trash; nothing else frees the disk than deleting")
            after = _taken(name, seen, source, target)
            self.removed.trashed_bytes += after.used_bytes if after.nlink == 1 else 0
        elif item.way == "delete":
            self._deleted(item, source, target)
        else:
            if target is None:
                raise OSError(ENOSPC, "no room to compress")
            size_bytes = compress(name, seen, source, target)
            self._deleted(item, source, target)
            self.removed.freed_bytes -= size_bytes
            return f"to {name}{SUFFIX}"
        return ""

    def _deleted(self, item: Item, source: int, target: int | None) -> None:
        name, seen = item.file
        try:
            after = seen if target is None else _taken(name, seen, source, target)
        except OSError as error:
            if error.errno not in (EXDEV, ENOSPC):
                raise
            after, target = look(name, source), None  # on another mount; or a full disk, where names need room, too
            if not after.is_same(seen):
                raise Changed from error
        os.unlink(name, dir_fd=source if target is None else target)
        if after.nlink == 1:
            self.removed.freed_bytes += after.used_bytes
            self.removed.inodes[inode(item.file)] = after.used_bytes

    def _all(self, folder: Folder, items: list[Item], status: str) -> None:
        for item in items:
            self._ended(folder, item, status)

    def _ended(self, folder: Folder, item: Item, status: str, why: str = "") -> None:
        self.removed.counts[status] += 1
        path = folder.path(item.file.name)
        if status == "failed" and len(self.removed.troubles) < 50:
            self.removed.troubles.append((path, why))
        self._tell(line(folder, item, status, why))


def line(folder: Folder, item: Item, status: str, why: str = "") -> dict[str, Any]:
    """What the report says of a file."""
    facts = item.file.facts
    told = {
        "path": folder.path(item.file.name),
        "status": status,
        "bytes": facts.used_bytes,
        "mtime_ns": facts.mtime_ns,
    }
    return told | {"why": why} if why else told


def _room(place: Bin, parts: tuple[str, ...]) -> int | None:
    """A folder in the trash; None where the disk has no room for one."""
    try:
        return place.folder(parts)
    except OSError as error:
        if error.errno == ENOSPC:
            return None
        raise


def _taken(name: str, seen: Facts, source: int, target: int) -> Facts:
    """Move a file to where nobody else reaches it, and look whether it is the one that was meant; else put it back.

    Raises:
        Changed: it was swapped between the look and the move.
    """
    move_new(name, source, target)
    after = look(name, target)
    if after.is_same(seen):
        return after
    try:
        move_new(name, target, source)
    except OSError as error:
        if error.errno != EEXIST:
            raise
    # Where its place was taken meanwhile it stays in the trash, or is recovered by the next run.
    raise Changed
