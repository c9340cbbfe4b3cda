"""Which of the files that were seen go, decided as a whole before anything goes."""

import stat
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from tasks.ops.cleanup import calls
from tasks.ops.cleanup.rules import COMPRESSED, Tree, Way, due
from tasks.ops.cleanup.scan import File, Folder

WAYS: tuple[Way, ...] = ("trash", "delete", "compress")
MOST_FILES = 1_000_000
"""Of one run, for its memory (0.5 KB each); the next run goes on."""

Inode = tuple[tuple[int, int], int]
Hold = Callable[[Folder, File], str | None]
"""Says why a file stays that is due; None: it goes."""


class Item(NamedTuple):
    """A file that is due, and what is done with it."""

    file: File
    way: Way


@dataclass
class Plan:
    """What a cleanup does.

    Attributes:
        folders: The folders in which something goes, with what.
        kept: Paths of files that are due and stay, with why.
        counts: How many files stay, by reason; also those that are not due.
        freed_bytes: What gets free on the disk: of files all of whose names go.
        left_bytes: What files take whose names go into the trash.
        more: Whether there is more to do than one run does.
    """

    folders: list[tuple[Folder, list[Item]]] = field(default_factory=list[tuple[Folder, list[Item]]])
    kept: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    counts: Counter[str] = field(default_factory=Counter[str])
    freed_bytes: int = 0
    left_bytes: int = 0
    more: bool = False

    @property
    def files(self) -> int:
        """How many names go or are compressed."""
        return sum(len(items) for _, items in self.folders)


def choose(
    folders: Iterable[Folder],
    tree: Tree,
    *,
    now_ns: int,
    opened: Collection[Inode] = (),
    hold: Hold = lambda folder, file: None,
) -> Plan:
    """Decide about all files of a tree.

    Args:
        folders: As they were seen.
        tree: The rules.
        now_ns: The time, nanoseconds since 1970.
        opened: Files that processes have open.
        hold: A further reason to stay.

    Returns:
        The plan; what it does depends on nothing else, so a dry run shows what a run does.
    """
    plan, protected = Plan(), set[Inode]()
    candidates, found = list[tuple[Folder, list[Item]]](), 0
    for folder in folders:
        mine: list[File] = []
        for file in folder.files:
            path = folder.path(file.name)
            if tree.protects(path, file.name):
                plan.counts["protected"] += 1
                if file.facts.nlink > 1:
                    protected.add(inode(file))
            elif tree.concerns(path, file.name):
                mine.append(file)
            else:
                plan.counts["other"] += 1
        if found > MOST_FILES:
            plan.more = plan.more or bool(mine)
        elif mine:
            candidates.append((folder, _by_age(mine, tree, now_ns, plan)))
            found += len(candidates[-1][1])
    for folder, items in candidates:
        going = [item for item in items if _goes(folder, item, tree, protected, opened, hold, plan)]
        if going:
            plan.folders.append((folder, going))
    _add_up(plan)
    return plan


def inode(file: File) -> Inode:
    """Who a file is, whatever it is called."""
    return file.facts.dev, file.facts.ino


def _by_age(files: list[File], tree: Tree, now_ns: int, plan: Plan) -> list[Item]:
    """The files of a folder that are due; the others are counted."""
    newest_first = sorted(files, key=lambda file: (-file.facts.mtime_ns, file.name))
    found: list[Item] = []
    for file, what in zip(
        newest_first, due([now_ns - file.facts.mtime_ns for file in newest_first], tree.retention), strict=True
    ):
        if what == "compress" and (COMPRESSED.search(file.name) or not file.facts.size_bytes):
            what = "young"
        if what in WAYS:
            found.append(Item(file, what))
        else:
            plan.counts[what] += 1
    return found


def _goes(
    folder: Folder,
    item: Item,
    tree: Tree,
    protected: Collection[Inode],
    opened: Collection[Inode],
    hold: Hold,
    plan: Plan,
) -> bool:
    file, facts = item.file, item.file.facts
    why = None
    if facts.attributes & (calls.IMMUTABLE | calls.APPEND_ONLY):
        why = "immutable"
    elif facts.attributes & calls.MOUNT_ROOT or (not tree.retention.cross_mounts and facts.mount != folder.facts.mount):
        why = "mount"
    elif not folder.writable:
        why = "no permission"
    elif inode(file) in protected:
        why = "link to protected"
    elif inode(file) in opened and not (tree.retention.open_files and item.way != "compress"):
        why = "open"
    elif item.way == "compress" and (facts.nlink > 1 or facts.mode & (stat.S_ISUID | stat.S_ISGID)):
        why = "linked"
    else:
        why = hold(folder, file)
    if why is not None:
        plan.counts[why] += 1
        plan.kept.append((folder.path(file.name), why))
    return why is None


def _add_up(plan: Plan) -> None:
    """Add up the bytes: a file with several names is free when the last of them is gone."""
    names: Counter[Inode] = Counter()
    for _, items in plan.folders:
        for item in items:
            if item.way == "trash":
                plan.left_bytes += item.file.facts.used_bytes if item.file.facts.nlink == 1 else 0
            elif item.way == "delete":
                key = inode(item.file)
                names[key] += 1
                if names[key] == item.file.facts.nlink:
                    plan.freed_bytes += item.file.facts.used_bytes
