"""What takes the room of a file system."""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from blocks.hosts import CommandResult, Host
from blocks.model import Frozen
from tasks.ops.disk.rules import Place
from tasks.ops.disk.usage import FileSystem, Usage

BLOCK_BYTES = 512
SHOWN = 10
BIG_FILE = "50M"
NO_PROGRAM = 127

# `find -L`, so that what is told is of the open file and not of the link in /proc; whatever is no folder on the way to
# the file descriptors is pruned, as /proc/PID/root would lead through the whole host again.
OPEN_AND_DELETED = (
    "find", "-L", "/proc", "-maxdepth", "3",
    "(", "-path", "/proc", "-o", "-path", "/proc/[0-9]*", "!", "-path", "/proc/*/*", "-o", "-path", "/proc/[0-9]*/fd",
    ")", "-o", "(", "-path", "/proc/[0-9]*/fd/*", "-type", "f", "-links", "0", "-printf", "%D %b %i %p\\0", ")",
    "-prune", "-o", "-prune",
)  # fmt: skip
NOT_THERE = "No such file or directory"
NO_GAP = re.compile(r".*: (No such file or directory|No such process)|find: '/proc/\d+/(?!fd\b)[^/]*': .*")
"""What `find` says of a process that ended while it looked, of its own descriptors, and of what it passes over."""

KERNELS = (
    "linux-image-[0-9]*",
    "linux-modules-[0-9]*",
    "linux-modules-extra-[0-9]*",
    "linux-headers-[0-9]*",
    "linux-image-unsigned-[0-9]*",
)
KERNEL = re.compile(r"linux-(?:image|modules|headers)(?:-unsigned|-extra)?-(?P<version>\d[\w.+~-]*)")
SIZE = re.compile(r"(?P<number>[0-9.]+)\s*(?P<unit>[kKMGTP]?)i?B?")
UNITS = {"": 1, "k": 10**3, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15}


class Finding(Frozen):
    """Something that takes room.

    Attributes:
        name: What it is, as `journal`.
        size_bytes: How much.
        count: Of how many files or other things.
        at_least: Whether it is more, as there was too much to be listed.
        examples: The biggest, with their bytes; paths are as they are, and may hold anything.
    """

    name: str
    size_bytes: int
    count: int
    at_least: bool = False
    examples: tuple[tuple[str, int], ...] = ()


class Findings(Frozen):
    """All that was found on a file system.

    Attributes:
        found: What actions may ask for.
        folders: The biggest folders, with all that is in them.
        files: The biggest files.
        gaps: What could not be looked at, and why.
    """

    found: tuple[Finding, ...] = ()
    folders: tuple[tuple[str, int], ...] = ()
    files: tuple[tuple[str, int], ...] = ()
    gaps: tuple[str, ...] = ()

    def size_of(self, name: str) -> int:
        """Bytes of what was found; 0: nothing."""
        return next((one.size_bytes for one in self.found if one.name == name), 0)


@dataclass
class Looking:
    """Looks at a file system of a host; nothing is changed.

    Attributes:
        host: The host.
        on: The file system.
        usage: How full it is.
        look_s: Seconds that each look may take.
        become: Whether it is done as root.
    """

    host: Host
    on: FileSystem
    usage: Usage
    look_s: float
    become: bool
    gaps: list[str] = field(default_factory=list[str])

    async def look(self, places: Sequence[Place]) -> Findings:
        """What takes the room; what could not be looked at is told in `gaps`. Raises `EngineUnavailable`."""
        looks = [*[await self._place(one) for one in places], await self._deleted_open()]
        looks += [await self._docker(), await self._old_kernels()]
        return Findings(
            folders=await self._folders(),
            files=await self._big_files(),
            found=tuple(one for one in looks if one is not None and one.count),
            gaps=tuple(self.gaps),
        )

    async def _place(self, place: Place) -> Finding | None:
        names = [word for pattern in place.patterns for word in ("-o", "-name", pattern)][1:]
        age = ("-mtime", f"+{place.older_than_days - 1}") if place.older_than_days else ()
        paths = [path for path in place.paths if await self._lies_here(path, place.name)]
        if not paths:
            return None
        done = await self._ran(
            place.name, "find", "-H", *paths, "-xdev", "-type", "f", "(", *names, ")", *age, "-printf", "%D %b %i %p\\0"
        )
        return None if done is None else _summed(place.name, self._files_in(done), at_least=done.truncated)

    async def _lies_here(self, path: str, what: str) -> bool:
        """Whether a folder, or that to which a link leads, is on the file system."""
        asked, env = ("stat", "-L", "-c", "%d", "--", path), {"LC_ALL": "C"}
        done = await self.host.run(asked, env=env, timeout_s=self.look_s, become=self.become)
        if not done.ok and not done.stderr.rstrip().endswith(NOT_THERE):
            self.gaps.append(f"{what}: {'it took too long' if done.timed_out else done.stderr.strip()[-300:]}")
        return done.ok and done.stdout.strip() == str(self.on.device)

    async def _deleted_open(self) -> Finding | None:
        """Files that were deleted and are open still: their room is free when they are closed."""
        done = await self._ran("deleted_open", *OPEN_AND_DELETED, no_gap=NO_GAP)
        if done is None:
            return None
        found = _summed("deleted_open", self._files_in(done), at_least=done.truncated)
        return found.model_copy(
            update={"examples": tuple([(await self._holder(path), size) for path, size in found.examples])}
        )

    async def _holder(self, descriptor: str) -> str:
        """`/proc/12/fd/3` with the name of the program."""
        program = await self.host.run(("cat", f"/proc/{descriptor.split('/')[2]}/comm"), timeout_s=self.look_s)
        return f"{descriptor} of {program.stdout.strip()}" if program.ok else descriptor

    async def _docker(self) -> Finding | None:
        """What docker could give back."""
        root = await self._quietly("docker", "info", "--format", "{{.DockerRootDir}}")
        if root is None or not root.ok or not await self._lies_here(root.stdout.strip(), "docker"):
            return None
        told = await self._ran("docker", "docker", "system", "df", "--format", "{{json .}}")
        if told is None or not told.ok:
            return None
        try:
            read = [json.loads(line) for line in told.stdout.splitlines() if line.strip()]
            parts = [(str(one["Type"]), reclaimable(str(one["Reclaimable"]))) for one in read]
        except (ValueError, KeyError, TypeError):
            self.gaps.append("docker: docker system df writes something else than it should")
            return None
        parts = [one for one in parts if one[1]]
        return Finding(
            name="docker", size_bytes=sum(size for _, size in parts), count=len(parts), examples=tuple(parts)
        )

    async def _old_kernels(self) -> Finding | None:
        """Kernels that neither run nor are the newest."""
        running = await self._quietly("uname", "-r")
        listed = await self._quietly(
            "dpkg-query", "-W", "-f", "${db:Status-Status}\\t${Package}\\t${Installed-Size}\\n", *KERNELS
        )
        if running is None or listed is None or not await self._lies_here("/boot", "old_kernels"):
            return None
        old = old_kernels(listed.stdout, running.stdout.strip())
        return Finding(
            name="old_kernels", size_bytes=sum(size for _, size in old), count=len(old), examples=tuple(old[:SHOWN])
        )

    async def _folders(self) -> tuple[tuple[str, int], ...]:
        least = max(1, self.usage.used_bytes // 100)
        done = await self._ran("folders", "du", "-0", "-x", "-B1", "-d", "4", "-t", str(least), "--", self.on.mount)
        if done is None:
            return ()
        pairs = [one.split("\t", 1) for one in _records(done)]
        found = [(path, int(size)) for size, path in (one for one in pairs if len(one) == 2)]
        return tuple(_telling(sorted(found, key=lambda one: -one[1])))

    async def _big_files(self) -> tuple[tuple[str, int], ...]:
        done = await self._ran(
            "files", "find", self.on.mount, "-xdev", "-type", "f", "-size", f"+{BIG_FILE}", "-printf", "%D %b %i %p\\0"
        )
        return () if done is None else _summed("files", self._files_in(done)).examples

    def _files_in(self, done: CommandResult) -> list[tuple[str, int]]:
        return files_in(_records(done), self.on.device)

    async def _ran(self, what: str, *argv: str, no_gap: re.Pattern[str] | None = None) -> CommandResult | None:
        """What a look says, even where it was not let in everywhere; None: it says nothing.

        Args:
            what: What is looked for.
            argv: The program and its arguments.
            no_gap: Lines of its standard error that tell of none.
        """
        env = {"LC_ALL": "C"}
        done = await self.host.run(("nice", *argv), env=env, timeout_s=self.look_s, become=self.become)
        if done.timed_out:
            self.gaps.append(f"{what}: it took longer than {self.look_s:g} s")
            return None
        said = done.stderr.strip().splitlines()
        told = [line for line in said if no_gap is None or not no_gap.fullmatch(line)]
        if done.exit_code and (told or not said):
            self.gaps.append(f"{what}: {told[-1][:300] if told else '?'}")
        return None if done.exit_code == NO_PROGRAM else done

    async def _quietly(self, *argv: str) -> CommandResult | None:
        """As `_ran`, where the host need not have the program."""
        done = await self.host.run(argv, timeout_s=self.look_s, become=self.become)
        return None if done.exit_code == NO_PROGRAM or done.timed_out else done


def files_in(records: Iterable[str], device: int) -> list[tuple[str, int]]:
    """Files with their bytes, of `DEVICE BLOCKS INODE PATH`; each inode once, those of other devices not at all."""
    found: dict[str, tuple[str, int]] = {}
    for record in records:
        parts = record.split(" ", 3)
        if len(parts) == 4 and parts[0] == str(device) and parts[1].isdigit():
            found.setdefault(parts[2], (parts[3], int(parts[1]) * BLOCK_BYTES))
    return list(found.values())


def old_kernels(listed: str, running: str) -> list[tuple[str, int]]:
    """Packages of kernels with their bytes, without the kernel that runs and the newest; dpkg tells kibibytes."""
    found: dict[str, list[tuple[str, int]]] = {}
    for line in listed.splitlines():
        status, _, rest = line.partition("\t")
        package, _, size = rest.partition("\t")
        match = KERNEL.fullmatch(package)
        if status == "installed" and match and size.isdigit():
            found.setdefault(_flavourless(match["version"]), []).append((package, int(size) * 1024))
    images = [version for version, names in found.items() if any("-image-" in name for name, _ in names)]
    kept = {_flavourless(running), *sorted(images, key=_numbers)[-1:]}
    return sorted(
        (one for version, names in found.items() if version not in kept for one in names), key=lambda x: -x[1]
    )


def reclaimable(told: str) -> int:
    """Bytes of `1.2GB (50%)`."""
    match = SIZE.match(told.strip())
    return int(float(match["number"]) * UNITS[match["unit"]]) if match else 0


def _flavourless(version: str) -> str:
    """`6.1.0-18` of `6.1.0-18-amd64`: headers that all flavours share have none."""
    match = re.match(r"\d+(?:\.\d+)*(?:-\d+)?", version)
    return match[0] if match else version


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)]


def _summed(name: str, files: Sequence[tuple[str, int]], *, at_least: bool = False) -> Finding:
    biggest = sorted(files, key=lambda one: -one[1])[:SHOWN]
    total = sum(size for _, size in files)
    return Finding(name=name, size_bytes=total, count=len(files), at_least=at_least, examples=tuple(biggest))


def _telling(folders: Iterable[tuple[str, int]]) -> list[tuple[str, int]]:
    """Folders, biggest first, without those of which nearly all lies in one that is told anyway."""
    told: list[tuple[str, int]] = []
    for path, size in folders:
        deeper = [one for one in told if path.startswith(f"{one[0].rstrip('/')}/") and size > 0.9 * one[1]]
        told = [one for one in told if one not in deeper] + [(path, size)]
    return told[:SHOWN]


def _records(done: CommandResult) -> list[str]:
    records = done.stdout.split("\0")
    return records[1:] if done.truncated else records  # of the first one the beginning is gone
