"""Small facts of many files of the store: each file is read when it is new or was changed, and not before."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Generic, TypeVar

from blocks.errors import NotFound
from blocks.store.files import Files

T = TypeVar("T")

SAME = timedelta(seconds=2)
"""Stores tell times by the second: what was read so soon after it was written may have been changed since."""


class Facts(Generic[T]):
    """What the files below a prefix say.

    Args:
        files: The store.
        prefix: Where they lie.
        suffix: How their names end.
        fact: Makes it of a file's content; raises `ValueError`, `KeyError` or `TypeError` where that is damaged.
        is_final: Whether a file that says this never changes again.
    """

    def __init__(
        self,
        files: Files,
        prefix: str,
        suffix: str,
        fact: Callable[[bytes], T],
        is_final: Callable[[T], bool] = lambda _: False,
    ) -> None:
        self._files, self._prefix, self._suffix = files, prefix, suffix
        self._fact, self._is_final = fact, is_final
        self._known: dict[str, tuple[datetime, T | None]] = {}

    def look(self) -> Mapping[str, T | None]:
        """The facts by key; None where the file is damaged. Raises `StoreFailed`: the store does not answer."""
        known: dict[str, tuple[datetime, T | None]] = {}
        for key, changed in self._files.list_modified(self._prefix):
            if not key.endswith(self._suffix):
                continue
            try:
                known[key] = self._known_of(key, changed)
            except NotFound:
                continue  # it has gone meanwhile
        self._known = known
        return {key: fact for key, (_, fact) in known.items()}

    def _known_of(self, key: str, changed: datetime) -> tuple[datetime, T | None]:
        before = self._known.get(key)
        if before is not None and before[1] is not None and self._is_final(before[1]):
            return before
        if before is not None and before[0] == changed:
            return before
        now = datetime.now(UTC)
        content = self._files.read_bytes(key)
        try:
            fact = self._fact(content)
        except (ValueError, KeyError, TypeError):  # pydantic's and json's are ValueErrors
            fact = None
        is_settled = now - changed > SAME
        return (changed if is_settled else datetime.min.replace(tzinfo=UTC)), fact
