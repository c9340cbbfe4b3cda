"""Control groups: the only limit on processes that also holds for root, and a way to end all of them at once.

RLIMIT_NPROC counts the processes of a user and never stops root, not even in a user namespace (kernel/fork.c,
copy_process: INIT_USER is let through). `pids.max` counts those of the group.
"""

import os
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from signal import SIGKILL

PREFIX = "c500-sandbox"
REMOVE_TRIES = 50
REMOVE_EVERY_S = 0.002
PROC = Path("/proc")


@dataclass(frozen=True)
class Base:
    """Where groups can be made.

    Attributes:
        folder: The group under which ours are made.
        unified: Whether it is of version 2.
        memory: Whether it limits memory, too; in version 1 that is another tree, which we leave alone.
    """

    folder: Path
    unified: bool
    memory: bool


class Group:
    """The processes of one run.

    Args:
        folder: What the kernel shows of it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def made(cls, base: Base, *, processes: int, memory_bytes: int) -> "Group":
        """A new one.

        Args:
            base: Where to make it.
            processes: How many there may be at once.
            memory_bytes: How much memory they may use together, where that can be limited.

        Raises:
            OSError: it cannot be made.
        """
        owner = os.getpid()
        folder = base.folder / f"{_prefix()}-{owner}-{_started_at(owner)}-{uuid.uuid4().hex[:8]}"
        folder.mkdir()
        try:
            (folder / "pids.max").write_text(str(processes))
            if base.memory:
                (folder / "memory.max").write_text(str(memory_bytes))
                for name, value in (("memory.swap.max", "0"), ("memory.oom.group", "1")):
                    with suppress(FileNotFoundError):  # a kernel without swap accounting
                        (folder / name).write_text(value)
        except OSError:
            folder.rmdir()
            raise
        return cls(folder)

    @property
    def door(self) -> Path:
        """What a process writes its id into to enter."""
        return self.folder / "cgroup.procs"

    def remove(self) -> None:
        """End whatever is still in it, and remove it. One that cannot be is swept up by a later process."""
        for _ in range(REMOVE_TRIES):
            with suppress(FileNotFoundError, ProcessLookupError):
                for process in self.door.read_text().split():
                    os.kill(int(process), SIGKILL)
            try:
                self.folder.rmdir()
            except FileNotFoundError:
                return
            except OSError:
                time.sleep(REMOVE_EVERY_S)  # the killed are still going
            else:
                return


@lru_cache(maxsize=1)
def base() -> Base | None:
    """Where this process can make groups; None where it cannot. What dead processes left there is removed."""
    for found in _bases(PROC):
        if os.access(found.folder, os.W_OK) and os.access(found.folder / "cgroup.procs", os.W_OK):
            _sweep(found)
            return found
    return None


def _bases(proc: Path) -> Iterator[Base]:
    """What may be one: of version 1 the group we are in, of version 2 the nearest above us that hands pids on."""
    groups = dict[str, str]()
    for line in (proc / "self" / "cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        groups |= dict.fromkeys(controllers.split(","), path)
    for root, point, kind, options in _mounts(proc):
        if kind == "cgroup" and "pids" in options.split(",") and "pids" in groups:
            yield Base(_below(root, point, groups["pids"]), unified=False, memory=False)
        if kind == "cgroup2" and "" in groups:
            own = _below(root, point, groups[""])
            for folder in (own, *own.parents):
                if not folder.is_relative_to(point):
                    break
                handed = _handed_on(folder)
                if "pids" in handed:
                    yield Base(folder, unified=True, memory="memory" in handed)
                    break


def _handed_on(folder: Path) -> list[str]:
    """What a group of version 2 lets those below it limit."""
    with suppress(OSError):
        return (folder / "cgroup.subtree_control").read_text().split()
    return []


def _mounts(proc: Path) -> Iterator[tuple[str, str, str, str]]:
    """Root within its file system, place, type and options of each mount (proc(5), mountinfo)."""
    for line in (proc / "self" / "mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        root, point = before.split(" ")[3:5]
        kind, _, options = after.split(" ", 2)
        yield root, point, kind, options


def _below(root: str, point: str, path: str) -> Path:
    """The folder of a group; a container may see only part of the tree."""
    return Path(point) / os.path.relpath(path, root) if Path(path).is_relative_to(root) else Path(point)


def _sweep(base: Base) -> None:
    for folder in base.folder.glob(f"{_prefix()}-*"):
        owner, started_at = folder.name.removeprefix(f"{_prefix()}-").split("-")[:2]
        if _started_at(int(owner)) != started_at:
            Group(folder).remove()


def _prefix() -> str:
    """Names the groups of those whose process ids mean the same as ours."""
    return f"{PREFIX}-{(PROC / 'self' / 'ns' / 'pid').stat().st_ino}"


def _started_at(process: int) -> str | None:
    """When a process began, in ticks since the machine did; with its id it names it for good. None: there is none."""
    try:
        content = (PROC / str(process) / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return content.rpartition(")")[2].split()[19]
