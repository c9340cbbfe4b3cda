"""Legal holds: what is held is neither cleaned away nor erased until somebody releases it."""

from collections.abc import Iterator
from contextlib import suppress
from hashlib import sha256

from pydantic import AwareDatetime, Field, ValidationError

from blocks.errors import Conflict, NotFound, StoreFailed
from blocks.model import Frozen
from blocks.store.files import Files
from blocks.subjects.subject import Subject

PREFIX = "personal-data/holds"


class Hold(Frozen):
    """That a subject's data must stay.

    Attributes:
        subject: Whose.
        reason: Why, for people.
        by: Who says so.
        at: Since when.
    """

    subject: Subject
    reason: str = Field(min_length=1, max_length=2000)
    by: str
    at: AwareDatetime


class Holds:
    """The holds in a store, a small file each.

    Args:
        files: The store.
    """

    def __init__(self, files: Files) -> None:
        self._files = files

    def put(self, hold: Hold) -> Hold:
        """Hold a subject's data; where it is held already, that hold stands."""
        with suppress(Conflict):
            self._files.put_if(_key(hold.subject), hold.model_dump_json(indent=1).encode(), None)
        return self.read(hold.subject)

    def release(self, subject: Subject) -> Hold:
        """Let go of a subject's data; the hold that was. Raises `NotFound`."""
        found = self.read(subject)
        self._files.delete(_key(subject))
        return found

    def read(self, subject: Subject) -> Hold:
        """The hold on a subject. Raises `NotFound`, `StoreFailed`."""
        try:
            return _parsed(self._files, _key(subject))
        except NotFound:
            raise NotFound(f"nothing holds {subject}", fix="`c500 data holds` lists what is held") from None

    def every(self) -> Iterator[Hold]:
        """All holds.

        Raises:
            StoreFailed: one cannot be read; then nothing may go, since it is not known what it holds.
        """
        for key in self._files.list(f"{PREFIX}/"):
            with suppress(NotFound):  # released meanwhile
                yield _parsed(self._files, key)


def _parsed(files: Files, key: str) -> Hold:
    try:
        return Hold.model_validate_json(files.read_bytes(key))
    except ValidationError:
        raise StoreFailed(
            f"the hold {key} is damaged: what it holds is not known, so nothing is cleaned or erased",
            fix=f"find out what it held, remove {files.uri(key)} and hold that again",
        ) from None


def _key(subject: Subject) -> str:
    return f"{PREFIX}/{subject.kind}-{sha256(subject.id.encode()).hexdigest()[:32]}.json"
