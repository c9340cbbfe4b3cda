"""Locks on shared resources that outlive a process: held by a piece of work, for a term, with a fencing token."""

from datetime import UTC, datetime, timedelta

from pydantic import ValidationError

from blocks.errors import Conflict, StoreFailed
from blocks.manifests import Fenced
from blocks.model import Frozen
from blocks.store.files import Files, safe_key

PREFIX = "operations/locks"
TRIES = 20


class ResourceLock(Frozen):
    """A resource in somebody's hands.

    Attributes:
        resource: Its name.
        owner: The piece of work that holds it, in all its attempts; empty: nobody.
        token: Fencing token: larger than those of all holders before. Whatever guards the resource refuses older ones.
        until: When it is free again, unless renewed.
    """

    resource: str
    owner: str
    token: int
    until: datetime


class ResourceLocks:
    """The locks in a store. The machines' clocks must agree within a fraction of a term.

    Args:
        files: The store.
    """

    def __init__(self, files: Files) -> None:
        self._files = files

    def take(self, resource: str, owner: str, *, term_s: float) -> ResourceLock:
        """Take a resource, or take it again: each time with a larger token.

        Args:
            resource: Its name: parts joined by `/`.
            owner: Who takes it; the same in all attempts.
            term_s: Seconds until it is free again.

        Raises:
            Conflict: another holds it; `details["owner"]` and `details["until"]` say who, and for how long.
            StoreFailed: the lock cannot be read or written.
        """
        for _ in range(TRIES):
            now = datetime.now(UTC)
            found, version = self._find(resource)
            if found and found.owner not in ("", owner) and found.until > now:
                raise Conflict(
                    f"{resource} is held by {found.owner} until {found.until:%Y-%m-%d %H:%M:%S %Z}",
                    fix="wait until it is free",
                    owner=found.owner,
                    until=found.until.isoformat(),
                )
            token = found.token + 1 if found else 1
            lock = ResourceLock(resource=resource, owner=owner, token=token, until=now + timedelta(seconds=term_s))
            if self._put(lock, version):
                return lock
        raise Conflict(f"{resource} is fought over", fix="wait a moment, and try again")

    def renew(self, lock: ResourceLock, *, term_s: float) -> ResourceLock:
        """Hold it for longer. Raises `Fenced` where another has taken it meanwhile."""
        _, version = self._mine(lock)
        renewed = lock.model_copy(update={"until": datetime.now(UTC) + timedelta(seconds=term_s)})
        if not self._put(renewed, version):
            raise _fenced(lock)
        return renewed

    def check(self, lock: ResourceLock) -> None:
        """Make sure that it is still ours, and its term not over. Raises `Fenced`."""
        found, _ = self._mine(lock)
        if found.until <= datetime.now(UTC):
            raise _fenced(lock)

    def release(self, lock: ResourceLock) -> None:
        """Free it; nothing happens where another has taken it meanwhile. Its token is remembered."""
        found, version = self._find(lock.resource)
        if found and (found.owner, found.token) == (lock.owner, lock.token):
            self._put(lock.model_copy(update={"owner": "", "until": datetime.now(UTC)}), version)

    def _mine(self, lock: ResourceLock) -> tuple[ResourceLock, str | None]:
        found, version = self._find(lock.resource)
        if found is None or (found.owner, found.token) != (lock.owner, lock.token):
            raise _fenced(lock)
        return found, version

    def _find(self, resource: str) -> tuple[ResourceLock | None, str | None]:
        found = self._files.read_version(_key(resource))
        if found is None:
            return None, None
        try:
            return ResourceLock.model_validate_json(found[0]), found[1]
        except ValidationError as error:
            raise StoreFailed(
                f"the lock of {resource} cannot be read: {error.error_count()} faults",
                fix=f"remove {_key(resource)} from the store once nobody holds it",
            ) from error

    def _put(self, lock: ResourceLock, version: str | None) -> bool:
        try:
            self._files.put_if(_key(lock.resource), lock.model_dump_json().encode(), version)
        except Conflict:
            return False
        return True


def _key(resource: str) -> str:
    return safe_key(f"{PREFIX}/{resource}.json")


def _fenced(lock: ResourceLock) -> Fenced:
    return Fenced(f"{lock.resource} is not held by {lock.owner} any more", fix="take it again before going on")
