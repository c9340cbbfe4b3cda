"""Manifests: the one truth about something that goes through states, changed by one writer at a time.

A manifest lies in the store and is changed by compare-and-swap only. Whoever holds it has a fencing token, which grows
with each holder: a former holder that comes back, from a pause or a partition, finds that its writes are refused.

Source: Kleppmann, «How to do distributed locking» (2016), on leases and fencing tokens.
"""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

from pydantic import BaseModel, ValidationError

from blocks.errors import Conflict, NotFound, StoreFailed
from blocks.model import Frozen
from blocks.store.files import Files, safe_key

T = TypeVar("T", bound=BaseModel)

NAME = "manifest.json"


class Fenced(Conflict):
    """Somebody else holds the manifest now; nothing of ours is written any more."""

    code = "FENCED"


class _Stamped(Frozen):
    """A manifest in the store.

    Attributes:
        token: Of its latest holder.
        content: What it says, as JSON of its form.
    """

    token: int
    content: str


class Held(Generic[T]):
    """A manifest in the hands of its only writer.

    Attributes:
        state: What it says.
        token: The holder's fencing token; larger than those of all holders before.
    """

    def __init__(self, files: Files, key: str, state: T, token: int, version: str) -> None:
        self.state, self.token = state, token
        self._files, self._key, self._version = files, key, version

    def put(self, state: T) -> T:
        """Write a new state, on the disk when this returns.

        Raises:
            Fenced: somebody else holds it by now.
            StoreFailed: it could not be written; the old state stands.
        """
        try:
            self._version = self._files.put_if(self._key, _bytes(self.token, state), self._version)
        except Conflict as error:
            raise Fenced(f"another process has taken {self._key} over", fix="let it go on") from error
        self.state = state
        return state

    def check(self) -> None:
        """Make sure that nobody else holds it by now, before an effect that no compare-and-swap protects.

        Raises:
            Fenced: somebody does.
        """
        found = self._files.read_version(self._key)
        if found is None or found[1] != self._version:
            raise Fenced(f"another process has taken {self._key} over", fix="let it go on")


class Manifests(Generic[T]):
    """The manifests of one kind.

    Args:
        files: The store.
        prefix: Under which they lie, a folder each.
        form: What they say.
        kind: What one is called, for messages.
    """

    def __init__(self, files: Files, prefix: str, form: type[T], *, kind: str) -> None:
        self._files, self._prefix, self._form, self._kind = files, prefix, form, kind

    def find(self, name: str) -> T | None:
        """What one says; None where there is none. Raises `StoreFailed` for one that cannot be read."""
        found = self._files.read_version(self._key(name))
        return None if found is None else self._parsed(name, found[0])[0]

    def read(self, name: str) -> T:
        """What one says. Raises `NotFound`, `StoreFailed`."""
        if (found := self.find(name)) is None:
            raise NotFound(f"there is no {self._kind} {name}", fix=f"look at the list of {self._kind}s", field="name")
        return found

    def names(self) -> Iterator[str]:
        """All there are, sorted."""
        for key in self._files.list(f"{self._prefix}/"):
            if key.endswith(f"/{NAME}"):
                yield key.removeprefix(f"{self._prefix}/").removesuffix(f"/{NAME}")

    @contextmanager
    def held(self, name: str, first: T | None = None) -> Generator[Held[T]]:
        """Hold a manifest as its only writer.

        Args:
            name: Which.
            first: What it says where there is none yet; an existing one is left as it is.

        Raises:
            Conflict: another process holds it.
            NotFound: there is none, and no `first`.
            StoreFailed: it cannot be read or written.
        """
        key = self._key(name)
        with self._files.lock(key, wait=False) as alone:
            if not alone:
                raise Conflict(f"another process works on {self._kind} {name}", fix="wait until it has ended")
            yield self._taken(name, key, first)

    def remove(self, name: str) -> None:
        """Forget one."""
        self._files.delete(self._key(name))

    def _taken(self, name: str, key: str, first: T | None) -> Held[T]:
        found = self._files.read_version(key)
        if found is None:
            if first is None:
                raise NotFound(
                    f"there is no {self._kind} {name}", fix=f"look at the list of {self._kind}s", field="name"
                )
            state, token, version = first, 1, None
        else:
            (state, before), version = self._parsed(name, found[0]), found[1]
            token = before + 1
        return Held(self._files, key, state, token, self._files.put_if(key, _bytes(token, state), version))

    def _parsed(self, name: str, content: bytes) -> tuple[T, int]:
        try:
            stamped = _Stamped.model_validate_json(content)
            return self._form.model_validate_json(stamped.content), stamped.token
        except ValidationError as error:
            raise StoreFailed(
                f"the {self._kind} {name} cannot be read: {error.error_count()} faults",
                fix="it was changed by hand, or by another version; restore it from a backup",
            ) from error

    def _key(self, name: str) -> str:
        return safe_key(f"{self._prefix}/{name}/{NAME}")


def _bytes(token: int, state: BaseModel) -> bytes:
    return _Stamped(token=token, content=state.model_dump_json()).model_dump_json().encode()
