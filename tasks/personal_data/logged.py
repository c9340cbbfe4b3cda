"""Lines of log files: overwritten where they stand, while others append."""

import gzip
import os
import stat
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from blocks.errors import StoreFailed
from blocks.model import Frozen
from blocks.subjects.subject import Traces
from blocks.whole_file import write_whole
from tasks.personal_data.holder import Content, Holder, Item, World

JOURNAL = ".erasing"


class Blanks(Frozen):
    """What of a file is being overwritten: a process that is killed in the midst of a line leaves the rest of it, which
    names nobody any more.

    Attributes:
        inode: Of the file.
        lines: Beginning and length of each line, in bytes.
    """

    inode: int
    lines: tuple[tuple[int, int], ...]


def logs_holder() -> Holder:
    """Lines of LOG_DIR that name the work of a subject."""

    def find(world: World, traces: Traces) -> Iterator[Item]:
        for path in sorted(world.logs.rglob("*")) if world.logs.is_dir() else ():
            if path.suffix == JOURNAL or path.is_symlink() or not path.is_file():
                continue
            if _journal(path).exists() or any(traces.in_line(line) for line in _lines(path)):
                yield Item(holder="logs", key=path.relative_to(world.logs).as_posix(), part=True)

    def read(world: World, traces: Traces, item: Item) -> Iterator[tuple[str, Content]]:
        lines = (line for line in _lines(world.logs / item.key) if traces.in_line(line))
        yield item.key.removesuffix(".gz"), b"".join(lines)

    return Holder(
        name="logs",
        place="LOG_DIR: lines of the files",
        what="events of jobs and runs, by their ids",
        covers=("logs:*",),
        find=find,
        read=read,
        erase=lambda world, traces, item, _name: _blank_lines(world.logs / item.key, traces),
    )


def _lines(path: Path) -> Iterator[bytes]:
    """The lines of a file; none of one that is gone. Raises `StoreFailed`: what cannot be read would be left."""
    try:
        opened: Any = gzip.open(path) if path.suffix == ".gz" else path.open("rb")  # noqa: SIM115 - in the next line
        with opened as stream:
            yield from stream
    except FileNotFoundError:
        return
    except (OSError, EOFError, zlib.error) as error:
        raise StoreFailed(
            f"{path} cannot be read: {getattr(error, 'strerror', None) or error}",
            fix="have it readable for this user, or remove what is damaged, then do it again",
        ) from error


def _blank_lines(path: Path, traces: Traces) -> None:
    """Overwrite lines with spaces: who appends meanwhile loses nothing, and nothing moves.

    A compressed file, to which nobody appends, is written anew.
    """
    if not path.exists():
        return
    if path.suffix == ".gz":
        left = b"".join(line for line in _lines(path) if not traces.in_line(line))
        found = path.stat()
        write_whole(path, gzip.compress(left), mode=stat.S_IMODE(found.st_mode))
        os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
        return
    with path.open("rb+") as stream:
        inode = os.fstat(stream.fileno()).st_ino
        lines, place = list(_begun(path, inode)), 0
        for line in stream:  # not by its path again: another file may have that by now
            if traces.in_line(line):
                lines.append((place, len(line.rstrip(b"\n"))))
            place += len(line)
        write_whole(_journal(path), Blanks(inode=inode, lines=tuple(lines)).model_dump_json().encode())
        for start, length in lines:
            os.pwrite(stream.fileno(), b" " * length, start)
        os.fsync(stream.fileno())
    _journal(path).unlink()


def _begun(path: Path, inode: int) -> Iterator[tuple[int, int]]:
    """The lines that a killed process was at; none when the file is another one by now."""
    with suppress(OSError, ValidationError):
        found = Blanks.model_validate_json(_journal(path).read_bytes())
        if found.inode == inode:
            yield from found.lines


def _journal(path: Path) -> Path:
    return path.with_name(f".{path.name}{JOURNAL}")
