"""What keeps data about persons and jobs: one form for all places, so that none is forgotten."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from blocks.model import Frozen
from blocks.subjects.subject import Traces
from blocks.subjects.trace import Known

Content = bytes | BinaryIO
"""Small content as it is; large content as a stream, which the reader closes."""


class Item(Frozen):
    """Something that is kept about a subject.

    Attributes:
        holder: Name of its place.
        key: Names it there, the same as long as it is there.
        part: Whether only a part of it is about the subject: then that part goes, and the rest stays.
    """

    holder: str
    key: str
    part: bool = False


@dataclass(frozen=True)
class World:
    """All places of this machine's settings.

    Attributes:
        known: The store, the books, Prefect's server.
        home: AGENTS_HOME.
        logs: LOG_DIR.
        limits: The database of the limiter, where it is a file of this machine.
    """

    known: Known
    home: Path
    logs: Path
    limits: Path | None = None


@dataclass(frozen=True)
class Holder:
    """A place that keeps data.

    Attributes:
        name: For plans and exports.
        place: Where, for people.
        what: What it keeps.
        exported: Whether what it keeps about a subject is in an export; else why not.
        erased: Whether it is erased; else why not.
        find: What it keeps about a subject.
        read: The content of an item by name: what an export holds.
        erase: Take items away; those that are gone already are no fault.
        scrub: Have no trace of what was erased left in files of a database; called at the end, also of an erasure that
            was gone on with.
        covers: Top-level names that it is the holder of: `store:jobs`, `home:runs`, `table:c500_calls`.
    """

    name: str
    place: str
    what: str
    covers: tuple[str, ...]
    exported: bool | str = True
    erased: bool | str = True
    find: Callable[[World, Traces], Iterator[Item]] = lambda _world, _traces: iter(())
    read: Callable[[World, Traces, Item], Iterator[tuple[str, Content]]] = lambda _world, _traces, _item: iter(())
    erase: Callable[[World, Traces, Item, str], None] = lambda _world, _traces, _item, _name: None
    scrub: Callable[[World], None] = lambda _world: None
