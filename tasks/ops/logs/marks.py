"""Going on with files that grow, are cut back to nothing, or are rotated away."""

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from blocks.errors import C500Error
from tasks.ops.logs.blocks import opened
from tasks.ops.logs.saved import Mark

COMPARED_BYTES = 1024


@dataclass(frozen=True)
class Reading:
    """A part of a file that is to be read.

    Attributes:
        path: The file.
        start: Offset in its uncompressed bytes.
        whole: Whether its last line counts without a line feed; one that still grows may be in the middle of it.
        mark_as: Path under which it is remembered how far it was read; empty: it is not.
        note: What a person should know.
    """

    path: Path
    start: int = 0
    whole: bool = True
    mark_as: str = ""
    note: str = ""


def readings(path: Path, mark: Mark | None, encoding: str | None) -> list[Reading]:
    """What is to be read of a file now.

    Args:
        path: The file.
        mark: How far it was read before; None if it was not.
        encoding: Of its text.
    """
    name = str(path)
    if mark is None:
        return [Reading(path, whole=False, mark_as=name)]
    if _is_same(path, mark, encoding):
        return [Reading(path, mark.offset, whole=False, mark_as=name)]
    now = Reading(path, whole=False, mark_as=name)
    for other in sorted(path.parent.glob(f"{_escaped(path.name)}?*")):
        if other.is_file() and _is_same(other, mark, encoding):
            return [Reading(other, mark.offset, mark_as=name, note=f"was {path.name} before it was rotated"), now]
    return [Reading(path, whole=False, mark_as=name, note="begins anew; what was written before that is not there")]


def mark_at(path: Path, offset: int, encoding: str | None) -> Mark:
    """A mark of a file that was read to here."""
    head_bytes, tail_bytes = min(COMPARED_BYTES, offset), min(COMPARED_BYTES, offset)
    head = _hash(path, 0, head_bytes, encoding) or ""
    tail = _hash(path, offset - tail_bytes, tail_bytes, encoding) or ""
    return Mark(head_bytes=head_bytes, head=head, tail_bytes=tail_bytes, tail=tail, offset=offset)


def _is_same(path: Path, mark: Mark, encoding: str | None) -> bool:
    """Whether it is the file that was read; one that was cut back and grew again is another."""
    try:
        head = _hash(path, 0, mark.head_bytes, encoding)
        return head == mark.head and _hash(path, mark.offset - mark.tail_bytes, mark.tail_bytes, encoding) == mark.tail
    except C500Error:
        return False


def _hash(path: Path, start: int, count: int, encoding: str | None) -> str | None:
    """SHA-256 of a part of the uncompressed bytes; None where the file ends before."""
    content = b""
    with opened(path, start=start, encoding=encoding) as file:
        count -= file.start - start  # a mark of the encoding at the beginning is passed over
        while len(content) < count and (more := file.read(count - len(content))):
            content += more
    return sha256(content).hexdigest() if len(content) == max(count, 0) else None


def _escaped(name: str) -> str:
    return "".join(f"[{char}]" if char in "*?[" else char for char in name)
