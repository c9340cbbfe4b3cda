"""Reading and writing in one folder, whatever names, links and others in it try."""

import os
import stat
import uuid
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from sys import maxsize
from typing import Literal

from blocks.errors import BadInput, NotAllowed, NotFound, TooLarge
from blocks.model import Frozen
from blocks.workspace.names import is_protected, relative, visible
from blocks.workspace.walk import folder, sync, told

READ_BYTES = 1 << 20
MOST_BYTES = 64 << 20
LIST_MOST = 1000

Kind = Literal["file", "folder", "link", "other"]
KINDS: dict[int, Kind] = {stat.S_IFREG: "file", stat.S_IFDIR: "folder", stat.S_IFLNK: "link"}


class Entry(Frozen):
    """Something in a workspace.

    Attributes:
        name: Relative to the workspace; one that holds what cannot be seen is shown with escapes, and cannot be opened.
        kind: What it is; `other` are devices, pipes and sockets.
        size_bytes: Of a file.
        modified_at: When its content was changed last.
    """

    name: str
    kind: Kind
    size_bytes: int
    modified_at: datetime


class Workspace:
    """One folder of files.

    Links within it are followed as long as they stay within. Files with several names (hard links) may be those of
    others, which no path tells; so they are not written, and read only where that is allowed.

    Args:
        root: The folder; a link to it is followed once, now.
        allow_links: Whether files with several names may be read, as package managers make them.

    Raises:
        NotFound: there is no such folder.
    """

    def __init__(self, root: Path, *, allow_links: bool = False) -> None:
        self.root = root.expanduser().resolve()
        self._allow_links = allow_links
        if not self.root.is_dir():
            raise NotFound(f"there is no workspace {self.root}", fix="make the folder first", field="workspace")

    def touched(self, name: str) -> str:
        """The real path that a name leads to, for rules; there may be nothing yet.

        Raises:
            BadInput: no file can have the name.
            NotAllowed: it leads out of the workspace.
        """
        return str(self._real(name))

    def resolve(self, name: str, *, writing: bool = False) -> Path:
        """The real path of a file or folder within, or of one that could be made.

        For showing and for other programs. Who opens the path may find something else there by then; `read_bytes` and
        `write` do not.

        Args:
            name: Relative to the workspace, or below /workspace.
            writing: Whether it is to be changed.

        Raises:
            BadInput: no file can have the name.
            NotAllowed: it is the workspace itself, leads out of it, or is nothing that may be used.
        """
        real = self._real(name)
        if real == self.root:
            raise NotAllowed("that is the workspace itself", fix="name something within it", path=name)
        if writing:
            self._refuse_protected(name, real)
        with told(name), suppress(FileNotFoundError, NotADirectoryError):
            self._refuse_odd(name, real.lstat(), writing=writing)
        return real

    def own_path(self, name: str) -> Path:
        """The real path of what has the name: of a link itself, not of what it leads to. For moving and deleting.

        Raises:
            BadInput: no file can have the name.
            NotAllowed: it is the workspace itself, lies outside of it, or is protected.
        """
        path = self.root / relative(name)
        own = (
            self._real(name)
            if path.name == ".."
            else self._inside(name, Path(os.path.realpath(path.parent))) / path.name
        )
        if own == self.root:
            raise NotAllowed("that is the workspace itself", fix="name something within it", path=name[:200])
        self._refuse_protected(name, own)
        return own

    def stat(self, name: str) -> Entry:
        """What there is under a name. Raises `NotFound`, `BadInput`, `NotAllowed`."""
        real = self._real(name)
        with told(name), folder(self.root, self._above(real)) as above:
            return self._entry(real, os.stat(self._last(real), dir_fd=above, follow_symlinks=False))

    def list(self, name: str = ".", *, most: int = LIST_MOST) -> tuple[Entry, ...]:
        """What is in a folder, in the order of names, links as links.

        Args:
            name: The folder.
            most: How many at most; with one more than is shown it is known whether there are more.

        Raises:
            NotFound, BadInput, NotAllowed: it cannot be listed.
        """
        real = self._real(name)
        found: list[Entry] = []
        with told(name), folder(self.root, self._parts(real)) as handle:
            inner = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=handle)
            try:
                names = sorted(os.listdir(inner))  # noqa: PTH208 - of an open folder
                for one in names[:most]:
                    with suppress(FileNotFoundError):  # it went away meanwhile
                        found.append(self._entry(real / one, os.stat(one, dir_fd=inner, follow_symlinks=False)))
            finally:
                os.close(inner)
        return tuple(found)

    def walk(self, name: str = ".") -> Iterator[Entry]:
        """Everything below a folder, each folder before what is in it; no link is followed.

        Raises:
            NotFound, BadInput, NotAllowed: it cannot be listed.
        """
        entries = [*reversed(self.list(name, most=maxsize))]
        while entries:
            entry = entries.pop()
            yield entry
            if entry.kind == "folder":
                with suppress(NotFound, BadInput, NotAllowed):  # it went away, or its name cannot be given
                    entries += reversed(self.list(entry.name, most=maxsize))

    def read_bytes(self, name: str, *, start: int = 0, most: int = READ_BYTES) -> bytes:
        """A part of a file.

        Args:
            name: The file.
            start: Byte to begin at.
            most: How many bytes at most.

        Raises:
            NotFound: there is no such file.
            BadInput: it is a folder, or no file can have the name.
            NotAllowed: it lies outside, is a device or a pipe, or has several names.
            TooLarge: `most` is more than is read at once.
        """
        if most > MOST_BYTES:
            raise TooLarge(f"{most} bytes are too many", fix=f"read at most {MOST_BYTES} at once", field="most")
        real = self._real(name)
        with told(name), folder(self.root, self._above(real)) as above:
            # Looked at before: to open a device may already do something. O_NONBLOCK: a pipe would wait for a writer.
            self._refuse_odd(name, os.stat(self._last(real), dir_fd=above, follow_symlinks=False), writing=False)
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
            with os.fdopen(os.open(self._last(real), flags, dir_fd=above), "rb", buffering=0) as file:
                self._refuse_odd(name, os.fstat(file.fileno()), writing=False)
                file.seek(max(0, start))
                return _read_all(file.fileno(), most)

    def write(self, name: str, content: bytes) -> None:
        """Write a file whole: readers see the old one or the new one. It keeps its mode; missing folders are made.

        Args:
            name: The file.
            content: All of it.

        Raises:
            BadInput: it is a folder, or no file can have the name.
            NotAllowed: it lies outside, is protected, a device or a pipe, or has several names.
            TooLarge: the content is.
            StoreFailed: it could not be written; the old file stands.
        """
        if len(content) > MOST_BYTES:
            raise TooLarge(f"{len(content)} bytes are too many", fix=f"write at most {MOST_BYTES}", field="content")
        real = self.resolve(name, writing=True)
        with told(name), folder(self.root, self._above(real), make=True) as above:
            before = self._there(name, real.name, above)
            temporary = f".{uuid.uuid4().hex}"
            try:
                _write_new(temporary, content, above, before)
                os.rename(temporary, real.name, src_dir_fd=above, dst_dir_fd=above)
            except BaseException:
                with suppress(FileNotFoundError):
                    os.unlink(temporary, dir_fd=above)
                raise
            sync(above)

    def _there(self, name: str, last: str, above: int) -> os.stat_result | None:
        """The file that is to be replaced, if there is one; checked again, as it may have changed since."""
        with suppress(FileNotFoundError):
            found = os.stat(last, dir_fd=above, follow_symlinks=False)
            if stat.S_ISDIR(found.st_mode):
                raise BadInput(f"{name!r:.200} is a folder", fix="name a file", path=name)
            self._refuse_odd(name, found, writing=True)
            return found
        return None

    def _real(self, name: str) -> Path:
        return self._inside(name, Path(os.path.realpath(self.root / relative(name))))

    def _inside(self, name: str, real: Path) -> Path:
        if not real.is_relative_to(self.root):
            raise NotAllowed(
                f"{name!r:.200} leads out of the workspace", fix="name a file in the workspace", path=name[:200]
            )
        return real

    def _parts(self, real: Path) -> tuple[str, ...]:
        return real.relative_to(self.root).parts

    def _above(self, real: Path) -> tuple[str, ...]:
        return self._parts(real)[:-1]

    def _last(self, real: Path) -> str:
        return "." if real == self.root else real.name

    def _refuse_protected(self, name: str, real: Path) -> None:
        if is_protected(self._parts(real)):
            raise NotAllowed(f"{name!r:.200} is protected", fix="let a person change it", path=name[:200])

    def _refuse_odd(self, name: str, found: os.stat_result, *, writing: bool) -> None:
        """Refuse what is neither a file of ours alone nor a folder."""
        if stat.S_ISDIR(found.st_mode):
            return
        if not stat.S_ISREG(found.st_mode):
            kind = "a link that leads in a circle" if stat.S_ISLNK(found.st_mode) else "a device, a pipe or a socket"
            raise NotAllowed(f"{name!r:.200} is {kind}", fix="use a file", path=name[:200])
        if found.st_nlink > 1 and (writing or not self._allow_links):
            raise NotAllowed(
                f"{name!r:.200} has {found.st_nlink} names (hard links), and may be a file outside of the workspace",
                fix="use a copy of it",
                path=name[:200],
            )

    def _entry(self, real: Path, found: os.stat_result) -> Entry:
        kind = KINDS.get(stat.S_IFMT(found.st_mode), "other")
        return Entry(
            name=visible(str(real.relative_to(self.root))),
            kind=kind,
            size_bytes=found.st_size if kind == "file" else 0,
            modified_at=datetime.fromtimestamp(found.st_mtime, UTC),
        )


def _read_all(handle: int, most: int) -> bytes:
    content = bytearray()
    while len(content) < most and (chunk := os.read(handle, most - len(content))):
        content += chunk
    return bytes(content)


def _write_new(name: str, content: bytes, above: int, before: os.stat_result | None) -> None:
    """Write a new file with the mode and the owner of the one it replaces."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    handle = os.open(name, flags, 0o600 if before else 0o666, dir_fd=above)
    with os.fdopen(handle, "wb", buffering=0) as file:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(handle, rest) :]
        if before:
            with suppress(PermissionError):  # only root may give files away
                os.fchown(handle, before.st_uid, before.st_gid)
            os.fchmod(handle, stat.S_IMODE(before.st_mode) & 0o777)
        os.fsync(file.fileno())
