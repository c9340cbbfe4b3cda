"""Records in a store that several processes change, and the short list of those that are still open."""

import random
import re
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Generic, TypeVar

from pydantic import BaseModel, ValidationError

from blocks.errors import BadInput, Conflict, NotFound, StoreFailed
from blocks.model import Frozen
from blocks.store.files import Files

T = TypeVar("T", bound=BaseModel)

ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
SWAP_TRIES = 200
HALF_MADE_S = 3600
"""A mark without a record is that of a process that died in between, after so long."""


class Damaged(StoreFailed):
    """What lies in the store is no record."""

    code = "DAMAGED"


class Purged(Frozen):
    """What was deleted for good.

    Attributes:
        ids: Of the records.
        size_bytes: What they took.
    """

    ids: tuple[str, ...] = ()
    size_bytes: int = 0


class Records(Generic[T]):
    """Records of one kind: `PREFIX/records/ID.json`, and a mark `PREFIX/open/ID` for each that is not settled.

    A mark is set before its record is written and taken away after: what is open is always found, at the price of a
    mark now and then that means nothing any more.

    Args:
        files: The store.
        prefix: What their keys begin with.
        form: Of a record.
        kind: What people call one.
        listing: The command that lists them, for errors.
    """

    def __init__(self, files: Files, prefix: str, form: type[T], *, kind: str, listing: str) -> None:
        self._files, self._prefix, self._form = files, prefix, form
        self._kind, self._listing = kind, listing

    def read(self, record_id: str) -> T:
        """One of them. Raises `NotFound`, `Damaged`, `StoreFailed`."""
        found = self._read(record_id)
        if found is None:
            raise NotFound(f"there is no {self._kind} {record_id[:80]!r}", fix=f"list them: `{self._listing}`")
        return found[0]

    def find(self, record_id: str) -> T | None:
        """One of them, None where there is none. Raises `Damaged`, `StoreFailed`."""
        found = self._read(record_id)
        return found[0] if found else None

    def create(self, record_id: str, record: T) -> T:
        """Write a record unless there is one; returns what is there then."""
        if (found := self.find(record_id)) is not None:
            return found
        with suppress(Conflict):  # somebody else made it meanwhile
            self._files.put_if(self._key(record_id), _bytes(record), None)
        return self.read(record_id)

    def change(self, record_id: str, change: Callable[[T], T]) -> T:
        """Compare-and-swap; `change` may be called again with a newer record, and may raise.

        Raises:
            NotFound: there is no such record.
            Conflict: others change it all the time.
        """
        for _ in range(SWAP_TRIES):
            found = self._read(record_id)
            if found is None:
                return self.read(record_id)
            changed = change(found[0])
            if changed is found[0]:
                return changed
            try:
                self._files.put_if(self._key(record_id), _bytes(changed), found[1])
            except Conflict:
                time.sleep(random.uniform(0, 0.02))  # noqa: S311 - spreads writers out, no secret
                continue
            return changed
        raise Conflict(f"the {self._kind} is changed by others all the time", fix="try again")

    def remove(self, record_id: str) -> int:
        """Delete a record, whatever is in it; its marks stay. How many bytes it had, 0 where there was none."""
        found = self._files.read_version(self._key(record_id)) if ID.fullmatch(record_id) else None
        if found is None:
            return 0
        self._files.delete(self._key(record_id))
        return len(found[0])

    def ids(self) -> Iterator[str]:
        """Of all records, sorted."""
        prefix = f"{self._prefix}/records/"
        return (key.removeprefix(prefix).removesuffix(".json") for key in self._files.list(prefix))

    def mark(self, record_id: str, index: str = "open") -> None:
        """Put a record on a list; again is no error."""
        self._files.put_bytes(self._mark(record_id, index), b"")

    def unmark(self, record_id: str, index: str = "open") -> None:
        """Take a record off a list; again is no error."""
        self._files.delete(self._mark(record_id, index))

    def marked(self, index: str = "open") -> tuple[str, ...]:
        """Ids on a list, sorted; a record may be missing, or settled already."""
        prefix = f"{self._prefix}/{index}/"
        return tuple(key.removeprefix(prefix) for key in self._files.list(prefix))

    def unmark_half_made(self, record_id: str) -> None:
        """Take an id off the list that has no record, once it must be of a process that died before it wrote one."""
        with suppress(NotFound):  # somebody else took it off meanwhile
            marked_at = self._files.modified(self._mark(record_id, "open")).timestamp()
            if time.time() - marked_at > HALF_MADE_S and not self._files.exists(self._key(record_id)):
                self.unmark(record_id)

    def _read(self, record_id: str) -> tuple[T, str] | None:
        if not ID.fullmatch(record_id):
            return None
        try:
            found = self._files.read_version(self._key(record_id))
            return found and (self._form.model_validate_json(found[0]), found[1])
        except OSError as error:
            raise StoreFailed(
                f"the {self._kind} {record_id} cannot be read: {error.strerror or error}",
                fix="run this as the user that runs the service",
            ) from error
        except (ValidationError, BadInput):
            pass
        # Outside of the handler: pydantic's error holds the values.
        raise Damaged(
            f"the {self._kind} {record_id} in the store is damaged",
            fix="bring it back from a backup, or let the run ask anew",
        )

    def _key(self, record_id: str) -> str:
        return f"{self._prefix}/records/{record_id}.json"

    def _mark(self, record_id: str, index: str) -> str:
        return f"{self._prefix}/{index}/{record_id}"


def _bytes(record: BaseModel) -> bytes:
    return record.model_dump_json(indent=1).encode("utf-8", "surrogatepass")
