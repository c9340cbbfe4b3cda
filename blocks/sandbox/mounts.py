"""What a program in the sandbox sees, as options of bubblewrap."""

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from itertools import islice
from pathlib import Path

from blocks.errors import NotFound
from blocks.sandbox.protocol import MIB, SandboxLimits
from blocks.workspace import INSIDE

NOBODY = "65534"
NAMESPACES = (
    *("--unshare-user", "--disable-userns", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-net"),
    *("--unshare-cgroup-try", "--uid", NOBODY, "--gid", NOBODY, "--hostname", "sandbox"),
    *("--die-with-parent", "--new-session", "--cap-drop", "ALL", "--clearenv"),
)

SYSTEM = ("bin", "lib", "lib32", "lib64", "libx32", "sbin")
ETC = {
    "passwd": f"nobody:x:{NOBODY}:{NOBODY}:nobody:/tmp:/bin/sh\n",
    "group": f"nogroup:x:{NOBODY}:\n",
    "hosts": "127.0.0.1 localhost sandbox\n",
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
}
ETC_OF_THE_HOST = ("ld.so.cache", "alternatives", "localtime")

HIDDEN = (
    *("kcore", "keys", "kmsg", "kpagecgroup", "kpagecount", "kpageflags", "sched_debug", "slabinfo", "timer_list"),
    "vmallocinfo",
)
"""Files of /proc that tell of the whole machine."""

SHM_BYTES = 16 * MIB

TRASH, GIT, GIT_KEPT = ".trash", ".git", ("config", "hooks")
"""Read-only in a writable workspace: git runs what they say, also when a person calls it; trash is for restoring."""

DEEP, MOST_FOLDERS, MOST_REPOSITORIES = 2, 500, 20
"""Repositories are looked for so many folders below the workspace, in so many, and so many are found: each start of a
program pays for it."""


class Handed:
    """Open files for bubblewrap, closed here with the stack. A name could mean something else by the time it looks.

    Args:
        stack: Closes them.
    """

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self.fds: list[int] = []

    def add(self, handle: int) -> int:
        """Hand on an open file."""
        self._stack.callback(os.close, handle)
        self.fds.append(handle)
        return handle

    def content(self, content: bytes) -> str:
        """Hand on a file with this content: its number."""
        handle = self.add(os.memfd_create("c500", os.MFD_CLOEXEC))
        os.write(handle, content)
        os.lseek(handle, 0, os.SEEK_SET)
        return str(handle)

    def path(self, name: str | Path, *, within: int | None = None, folder: bool = False) -> int | None:
        """Hand on a file or folder, and no link; None where there is none."""
        flags = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC | (os.O_DIRECTORY if folder else 0)
        try:
            handle = os.open(name, flags, dir_fd=within)
        except (FileNotFoundError, NotADirectoryError):
            return None
        return self.add(handle)


def system(handed: Handed, limits: SandboxLimits, readable: Sequence[Path]) -> list[str]:
    """The system's programs, read-only; and of the rest of a machine as little as programs can do with."""
    options = ["--tmpfs", "/", "--ro-bind", "/usr", "/usr"]
    for name in SYSTEM:
        options += _as_on_the_host(Path("/") / name)
    for name, content in ETC.items():
        options += ["--perms", "0444", "--file", handed.content(content.encode()), f"/etc/{name}"]
    for name in ETC_OF_THE_HOST:
        options += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
    options += [*_proc(), *_devices(), "--size", str(limits.tmp_bytes), "--perms", "1777", "--tmpfs", "/tmp"]  # noqa: S108 - its own
    for folder in readable:
        options += ["--ro-bind", str(folder), str(folder)]
    return options


def workspace(handed: Handed, folder: Path, *, writable: bool) -> list[str]:
    """The workspace, where programs begin. Raises `NotFound`."""
    root = handed.path(folder, folder=True)
    if root is None:
        raise NotFound(f"there is no workspace {folder}", fix="make the folder first", field="workspace")
    if not writable:
        return ["--ro-bind-fd", str(root), INSIDE, "--chdir", INSIDE]
    return ["--bind-fd", str(root), INSIDE, *_kept(handed, root), "--chdir", INSIDE]


def _kept(handed: Handed, root: int) -> list[str]:
    options = _read_only(handed, root, INSIDE, TRASH)
    found = (git for folder, place in _folders(root) if (git := _git(handed, folder, place)))
    return [*options, *(option for git in islice(found, MOST_REPOSITORIES) for option in git)]


def _git(handed: Handed, folder: int, place: str) -> list[str]:
    git = handed.path(GIT, within=folder, folder=True)
    if git is None:
        return []
    # A mount of its own cannot be moved aside, to put another in its place.
    return ["--bind-fd", str(git), f"{place}/{GIT}", *_read_only(handed, git, f"{place}/{GIT}", *GIT_KEPT)]


def _folders(root: int) -> Iterator[tuple[int, str]]:
    """The workspace and its nearest folders, each open while it is looked at, with their places in the sandbox."""
    return islice(_below(root, INSIDE, DEEP), MOST_FOLDERS)


def _below(folder: int, place: str, deep: int) -> Iterator[tuple[int, str]]:
    yield folder, place
    for name in _names(folder) if deep else ():
        with suppress(OSError):  # it is a link by now, or gone: then it is no folder of the workspace
            inner = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
            try:
                yield from _below(inner, f"{place}/{name}", deep - 1)
            finally:
                os.close(inner)


def _names(folder: int) -> list[str]:
    """Of the folders in a folder; none where it cannot be listed."""
    with suppress(OSError):
        listed = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=folder)
        try:
            with os.scandir(listed) as entries:
                return [one.name for one in entries if one.name != GIT and one.is_dir(follow_symlinks=False)]
        finally:
            os.close(listed)
    return []


def _read_only(handed: Handed, folder: int, place: str, *names: str) -> list[str]:
    options: list[str] = []
    for name in names:
        found = handed.path(name, within=folder)
        if found is not None and stat.S_IFMT(os.fstat(found).st_mode) in (stat.S_IFREG, stat.S_IFDIR):
            options += ["--ro-bind-fd", str(found), f"{place}/{name}"]
    return options


def _proc() -> list[str]:
    """Its own processes; read-only, because bubblewrap leaves /proc/sys open to root of the host.

    What is written there, as the program that takes core dumps, works outside.
    """
    options = ["--proc", "/proc"]
    for path in (f"/proc/{name}" for name in HIDDEN):
        options += ["--ro-bind", "/dev/null", path] if os.access(path, os.R_OK) else []
    return [*options, "--remount-ro", "/proc"]


def _devices() -> list[str]:
    """null, zero, random and a terminal of its own; read-only, as files there would fill the memory."""
    return ["--dev", "/dev", "--size", str(SHM_BYTES), "--perms", "1777", "--tmpfs", "/dev/shm", "--remount-ro", "/dev"]  # noqa: S108 - its own


def _as_on_the_host(path: Path) -> list[str]:
    if path.is_symlink():
        return ["--symlink", str(path.readlink()), str(path)]
    return ["--ro-bind-try", str(path), str(path)]
