"""How full the file systems of a host are, as statvfs says there."""

from collections.abc import Sequence
from typing import Self

from blocks.errors import EngineFailed
from blocks.hosts import Host
from blocks.model import Frozen

LOOK_S = 60.0
NO_DISKS = (
    "autofs", "binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "debugfs", "devpts", "devtmpfs", "efivarfs",
    "erofs", "fusectl", "hugetlbfs", "iso9660", "mqueue", "nsfs", "overlay", "proc", "pstore", "ramfs", "securityfs",
    "squashfs", "sysfs", "tmpfs", "tracefs",
)  # fmt: skip
"""Types of file systems that hold nobody's files, or show those of another; looked at only where they are named."""


class Usage(Frozen):
    """How full a file system is.

    Attributes:
        size_bytes: What it holds.
        used_bytes: What is in use.
        free_bytes: What users may still write.
        used_percent: Of what users may write in all, as `df` tells.
        inodes_used: Files that it has.
        inodes_percent: Of those that it can have; 0 where it knows no limit.
    """

    size_bytes: int
    used_bytes: int
    free_bytes: int
    used_percent: float
    inodes_used: int
    inodes_percent: float

    @property
    def fullest_percent(self) -> float:
        """Whichever is fuller: without room for another file it is full."""
        return max(self.used_percent, self.inodes_percent)

    @property
    def lacks_inodes(self) -> bool:
        """Whether it is files that are too many, and not their bytes."""
        return self.inodes_percent > self.used_percent

    def without(self, size_bytes: int) -> Self:
        """As it would be with so many bytes less in it."""
        used = max(0, self.used_bytes - size_bytes)
        users = self.used_bytes + self.free_bytes
        percent = round(100 * used / users, 2) if users else 0.0
        return self.model_copy(update={"used_bytes": used, "free_bytes": users - used, "used_percent": percent})


class FileSystem(Frozen):
    """A file system of a host.

    Attributes:
        mount: Where it is mounted.
        device: Its number, as `stat` tells of the files in it.
    """

    mount: str
    device: int


async def usage_of(host: Host, place: str) -> Usage:
    """How full the file system of a folder is. Raises `EngineFailed`, `EngineUnavailable`."""
    # %S block size, %b blocks, %f free, %a free for users, %c inodes, %d free inodes: the fields of statvfs.
    asked = ("stat", "-f", "-c", "%S %b %f %a %c %d", "--", place)
    return usage_in((await host.run(asked, timeout_s=LOOK_S)).checked().stdout)


def usage_in(told: str) -> Usage:
    """What `stat -f` says. Raises `EngineFailed`."""
    try:
        block, blocks, free, free_to_users, inodes, inodes_free = map(int, told.split())
    except ValueError:
        raise EngineFailed(f"stat -f says {told[:100]!r}", fix="run it by hand on the host") from None
    used, users = blocks - free, blocks - free + free_to_users
    return Usage(
        size_bytes=blocks * block,
        used_bytes=used * block,
        free_bytes=free_to_users * block,
        used_percent=round(100 * used / users, 2) if users else 0.0,
        inodes_used=inodes - inodes_free,
        inodes_percent=round(100 * (inodes - inodes_free) / inodes, 2) if inodes else 0.0,
    )


async def filesystem_of(host: Host, place: str) -> FileSystem | None:
    """The file system of a folder, or of that to which a link leads; None: there is no such folder."""
    done = await host.run(("stat", "-L", "-c", "%d %m", "--", place), timeout_s=LOOK_S)
    device, found, mount = done.stdout.removesuffix("\n").partition(" ")
    return FileSystem(mount=mount, device=int(device)) if done.ok and found else None


async def filesystems_of(host: Host, named: Sequence[str]) -> tuple[FileSystem, ...]:
    """The file systems of some folders, or all disks of the host, each once.

    Raises:
        EngineFailed: there is no such folder, or the host does not tell.
        EngineUnavailable: the host cannot be reached.
    """
    found: dict[int, FileSystem] = {}
    for place in named or await _disks(host):
        if (one := await filesystem_of(host, place)) is not None:
            found.setdefault(one.device, one)
        elif named:
            raise EngineFailed(f"{host.name}: there is no {place}", fix="correct filesystems in the rules")
    return tuple(found.values())


async def _disks(host: Host) -> list[str]:
    asked = ("df", "-l", *(f"--exclude-type={one}" for one in NO_DISKS), "--output=target")
    done = await host.run(asked, timeout_s=LOOK_S)
    lines = done.stdout.splitlines()[1:]
    if not lines:  # its exit code also tells of one mount of many that we may not look at
        raise EngineFailed(
            f"{host.name} tells of no disk: {done.stderr.strip()[-300:]}", fix="name filesystems in the rules"
        )
    return lines
