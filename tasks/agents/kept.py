"""Records of a run that are made once and found again by every later attempt of it."""

from collections.abc import Awaitable, Callable
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from blocks.errors import StoreFailed
from blocks.model import Frozen
from blocks.whole_file import write_whole

R = TypeVar("R", bound=Frozen)


class Kept:
    """Records by name, a file each.

    Args:
        folder: Where they lie; it exists.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find(self, kind: type[R], name: str) -> R | None:
        """A record; None when there is none yet.

        Raises:
            StoreFailed: it cannot be read.
        """
        try:
            return kind.model_validate_json(self._path(name).read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValidationError) as error:
            raise StoreFailed(
                f"the record {name} of the run in {self._folder} cannot be read",
                fix="see whether the disk is well; without the record the run cannot go on",
                path=str(self._path(name)),
            ) from error

    def put(self, name: str, record: Frozen, *, sync: bool = True) -> None:
        """Keep a record; without `sync` it may be gone when the whole machine dies. Raises `StoreFailed`."""
        try:
            write_whole(self._path(name), record.model_dump_json().encode(), sync=sync)
        except OSError as error:
            raise StoreFailed(
                f"a record of the run cannot be written into {self._folder}: {error.strerror or error}",
                fix="free disk space, or name another folder in AGENTS_HOME",
            ) from error

    async def once(self, kind: type[R], name: str, make: Callable[[], Awaitable[R]], *, sync: bool = True) -> R:
        """The record; made when there is none. What fails to be made is made again next time."""
        if (found := self.find(kind, name)) is not None:
            return found
        made = await make()
        self.put(name, made, sync=sync)
        return made

    def _path(self, name: str) -> Path:
        return self._folder / f"{sha256(name.encode()).hexdigest()[:32]}.json"
