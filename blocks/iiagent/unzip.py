"""Unpacking an archive that a stranger made: plain files below one folder, and no more of them than was allowed."""

import stat
import struct
import zlib
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from io import FileIO
from pathlib import Path
from typing import IO, Any, cast
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from pydantic import Field

from blocks.errors import BadInput, C500Error, TooLarge
from blocks.iiagent.downloaded import MOST_REFUSALS, PARTS, Refusal
from blocks.iiagent.paths import Claims, UnsafeName, placed
from blocks.iiagent.tree import PIECE_BYTES, Blocked, Part, Tree, open_tree
from blocks.model import Frozen
from blocks.plain_text import cut, plain

MIB = 1 << 20
HEADER_BYTES = 30
"""Of a member, before its name, which is never longer than told."""

MOST_INDEX_BYTES = 4 * MIB
"""Of an archive's index, which `zipfile` reads as a whole, and makes an object of half a kilobyte of each 46 bytes."""

ENCRYPTED = 1
RATIO_FROM_BYTES = MIB
"""Smaller members may be packed as tight as they like: a file of blanks is no bomb."""

DAMAGED = (BadZipFile, zlib.error, struct.error, EOFError, OSError, ValueError, RuntimeError, LookupError)
"""What `zipfile` raises for archives that are wrong; `OSError` where an offset leads to before the beginning."""


class UnzipLimits(Frozen):
    """What an archive may hold.

    Attributes:
        members: Files and folders.
        file_bytes: Of one file, unpacked.
        total_bytes: Of all.
        ratio: Unpacked bytes for each packed one, of each file of a megabyte or more, and of all together.
    """

    members: int = Field(default=2000, gt=0)
    file_bytes: int = Field(default=256 * MIB, gt=0)
    total_bytes: int = Field(default=1024 * MIB, gt=0)
    ratio: float = Field(default=200.0, ge=1)


class Unzipped(Frozen):
    """What was unpacked.

    Attributes:
        files: Paths below the folder.
        refused: Members that were left out, and why.
        total_bytes: Of all files.
    """

    files: tuple[str, ...]
    refused: tuple[Refusal, ...]
    total_bytes: int


def unzip(archive: Path, into: Path, limits: UnzipLimits | None = None) -> Unzipped:
    """Unpack an archive; archives within it stay packed. A member whose name or kind is not kept is told, and left out.

    Args:
        archive: The file; no link.
        into: Where to; made where there is none. Files of the same names are replaced.
        limits: What it may hold. They are held against what the archive says before anything is written, and against
            what comes out while it is.

    Raises:
        TooLarge: it holds more.
        BadInput: it is no archive that can be read, or its members overlap, as those of bombs do.
        NotFound, StoreFailed: it cannot be opened, or its files cannot be written.
    """
    with open_tree(archive.parent, field="archive") as beside:
        return _unzip(beside, archive.name, lambda: open_tree(into, make=True), limits or UnzipLimits())


def unzip_within(tree: Tree, archive: str, into: str, limits: UnzipLimits) -> Unzipped:
    """Unpack an archive of an open folder into an inner folder of it; see `unzip`.

    Args:
        tree: The folder.
        archive: Path of the file below it.
        into: Path of the inner folder; made where there is none.
        limits: What it may hold.

    Raises:
        Blocked: something else lies where the inner folder has to be.
        C500Error: see `unzip`.
    """

    @contextmanager
    def inner() -> Generator[Tree]:
        with tree.folder(into.split("/"), make=True) as folder:
            yield Tree(folder, f"{tree.name}/{into}")

    return _unzip(tree, archive, inner, limits)


def _unzip(
    beside: Tree, archive: str, inner: Callable[[], AbstractContextManager[Tree]], limits: UnzipLimits
) -> Unzipped:
    name = archive.rpartition("/")[2]
    with beside.read(archive) as (stream, facts), _opened(stream, name) as packed:
        members = packed.infolist()
        _within(members, facts.size_bytes or 0, limits)
        _apart(members, packed.start_dir, name)
        with inner() as tree, tree.alone():
            tree.sweep(PARTS)
            unpacked = _Unpacking(packed, tree, limits).all(members)
            tree.remove_folder(PARTS)
            return unpacked


class _Careful:
    """An open archive of which no more than the largest index is read at once."""

    def __init__(self, stream: FileIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def read(self, size: int = -1) -> bytes:
        if size > MOST_INDEX_BYTES:
            raise _too_large(f"its index has {size} bytes", "members")
        return self._stream.read(MOST_INDEX_BYTES if size < 0 else size)


class _Unpacking:
    def __init__(self, packed: ZipFile, tree: Tree, limits: UnzipLimits) -> None:
        self._packed, self._tree, self._limits = packed, tree, limits
        self._claims = Claims([PARTS])
        self._files: list[str] = []
        self._refused: list[Refusal] = []
        self._total = 0

    def all(self, members: list[ZipInfo]) -> Unzipped:
        for member in members:
            name = str(getattr(member, "orig_filename", member.filename))  # `filename` ends at a NUL
            if name.endswith("/") and not member.file_size:
                continue  # folders are made where a file needs them
            try:
                self._one(member, name)
            except UnsafeName as error:
                self._refuse(name, error.details["reason"], error)
            except Blocked as error:
                self._refuse(name, "blocked", error)
            except _Left as error:
                self._refuse(name, "refused", error)
            except TooLarge:  # more came out than was told
                for local in self._files:
                    self._tree.remove(local)
                raise
        return Unzipped(files=tuple(self._files), refused=tuple(self._refused), total_bytes=self._total)

    def _one(self, member: ZipInfo, name: str) -> None:
        local = placed(name).local
        if why := _unkept(member):
            raise _Left(why, fix="pack plain files only, without a password, stored or deflated")
        self._claims.claim(local)
        with self._tree.part(PARTS) as part:
            try:
                with self._packed.open(member) as stream:
                    self._fill(part, stream, member)
            except DAMAGED as error:
                raise _Left(f"it is damaged: {_first(error)}", fix="make the archive anew") from error
            self._tree.put(part, local)
        self._files.append(local)

    def _fill(self, part: Part, stream: IO[bytes], member: ZipInfo) -> None:
        while piece := stream.read(PIECE_BYTES):
            self._total += len(piece)
            part.write(piece)
            _fits(part.size_bytes, member.compress_size, self._limits)
            if self._total > self._limits.total_bytes:
                raise _too_large(f"its files have more than {self._limits.total_bytes} bytes", "total_bytes")

    def _refuse(self, name: str, reason: str, error: C500Error) -> None:
        if len(self._refused) < MOST_REFUSALS:
            shown = cut(plain(name), 600)
            self._refused.append(Refusal(name=shown, reason=reason, why=error.message, fix=error.fix))


class _Left(BadInput):
    """A member that is left out."""


def _opened(stream: FileIO, name: str) -> ZipFile:
    try:
        return ZipFile(cast(IO[bytes], _Careful(stream)))
    except DAMAGED as error:
        raise BadInput(f"{name} is no zip archive: {_first(error)}", fix="check the file", field="archive") from error


def _within(members: list[ZipInfo], packed_bytes: int, limits: UnzipLimits) -> None:
    """Hold what the archive says against the limits."""
    if len(members) > limits.members:
        raise _too_large(f"it has {len(members)} members, more than {limits.members}", "members")
    total = sum(member.file_size for member in members)
    if total > limits.total_bytes:
        raise _too_large(f"its files have {total} bytes, more than {limits.total_bytes}", "total_bytes")
    for member in members:
        _fits(member.file_size, member.compress_size, limits)
    if total >= RATIO_FROM_BYTES and total > limits.ratio * packed_bytes:
        raise _too_large(f"it would be unpacked to more than {limits.ratio:g} times its size", "ratio")


def _fits(size_bytes: int, packed_bytes: int, limits: UnzipLimits) -> None:
    if size_bytes > limits.file_bytes:
        raise _too_large(f"a file in it has more than {limits.file_bytes} bytes", "file_bytes")
    if size_bytes >= RATIO_FROM_BYTES and size_bytes > limits.ratio * packed_bytes:
        raise _too_large(f"a file in it would be unpacked to more than {limits.ratio:g} times its size", "ratio")


def _apart(members: list[ZipInfo], index_at: int, name: str) -> None:
    """Members that share bytes come out many times from a small archive.

    Source: Fifield, «A better zip bomb» (WOOT 2019).
    """
    for begin, end, following in _ranges(members, index_at):
        if begin < 0 or end > following:
            raise BadInput(
                f"{name} is not unpacked: members of it overlap, as those of bombs do",
                fix="make the archive anew",
                field="archive",
            )


def _ranges(members: list[ZipInfo], index_at: int) -> Iterator[tuple[int, int, int]]:
    """Of each member its beginning, the least end that it can have, and where the next one begins."""
    ordered = sorted(members, key=lambda member: member.header_offset)
    begins = [*(member.header_offset for member in ordered), index_at]
    for member, following in zip(ordered, begins[1:], strict=True):
        length = HEADER_BYTES + len(member.orig_filename.encode("ascii", "replace")) + member.compress_size
        yield member.header_offset, member.header_offset + length, following


def _unkept(member: ZipInfo) -> str | None:
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        return "it is a link, or something else that is no plain file"
    if member.flag_bits & ENCRYPTED:
        return "it is encrypted"
    if member.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
        return "it is packed in a way that unpacks without bound"  # `zipfile` has no cap for bzip2 and LZMA
    return None


def _too_large(why: str, field: str) -> TooLarge:
    return TooLarge(f"the archive is not unpacked: {why}", fix=f"raise {field}, if you trust it", field=field)


def _first(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
