"""Switches as plain files: `touch AGENTS_HOME/switches/all` stops every agent of the machine."""

import os
import pwd
import stat
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from pathlib import Path

from blocks.errors import StoreFailed
from blocks.switches.switch import NAME, Run, Scope, Switch, checked, read_switch, spoken_of
from blocks.whole_file import write_whole

MOST_BYTES = 65_536
"""Of a file; the rest of a longer one is not read, and its beginning is no JSON, so it only stops."""


class FileSwitches:
    """A folder with the files `all`, `agent/NAME` and `run/ID`; one that is there stops, whatever it is and holds.

    Looking costs a few `lstat` calls, without a thread: 50 µs. When the folder cannot be reached, all are stopped.

    Args:
        folder: Made when missing, with those in it, for this user only.

    Raises:
        StoreFailed: it cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder.expanduser().absolute()
        try:
            for folder in (self._folder, self._folder / "agent", self._folder / "run"):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise _failed(self._folder, error) from error

    def set(self, switch: Switch) -> None:
        """See `Switches`."""
        path = self._path(switch.scope, checked(switch.scope, switch.name))
        try:
            path.parent.mkdir(mode=0o700, exist_ok=True)  # somebody may have removed it with all that was in it
            write_whole(path, switch.model_dump_json(indent=1).encode())
        except OSError as error:
            raise _failed(path, error) from error

    def clear(self, scope: Scope, name: str = "") -> Switch | None:
        """See `Switches`."""
        path = self._path(scope, checked(scope, name))
        try:
            found = self._found(scope, name)
            path.unlink(missing_ok=True)
        except OSError as error:
            raise _failed(path, error) from error
        return found

    def list(self) -> tuple[Switch, ...]:
        """See `Switches`."""
        try:
            places: list[tuple[Scope, str]] = [("all", ""), *self._named("agent"), *self._named("run")]
            found = [self._found(scope, name) for scope, name in places]
        except OSError as error:
            raise _failed(self._folder, error) from error
        return tuple(switch for switch in found if switch)

    async def look(self, runs: Collection[Run]) -> Mapping[Run, Switch]:
        """See `Switches`."""
        heeded = spoken_of(runs)
        try:
            self._folder.lstat()  # without it no file in it could be found, and none would seem to be set
            found = {place: self._found(*place) for place in {one for places in heeded.values() for one in places}}
        except OSError as error:
            away = Switch(scope="all", by="c500", at=datetime.now(UTC), reason=_failed(self._folder, error).message)
            return dict.fromkeys(heeded, away.model_copy(update={"away": True}))
        first = {run: next((found[one] for one in heeded[run] if found[one]), None) for run in heeded}
        return {run: switch for run, switch in first.items() if switch}

    async def stopped(self, agent: str, run_id: str) -> Switch | None:
        """See `Switches`."""
        return (await self.look([(agent, run_id)])).get((agent, run_id))

    def _named(self, scope: Scope) -> tuple[tuple[Scope, str], ...]:
        """What lies in the folder of a scope; other names than those of agents and runs stop nothing."""
        try:
            names = sorted(os.listdir(self._folder / scope))  # noqa: PTH208 - Path.glob would hide that it may not
        except FileNotFoundError:
            return ()
        return tuple((scope, name) for name in names if NAME.fullmatch(name))

    def _path(self, scope: Scope, name: str) -> Path:
        return self._folder / scope / name if name else self._folder / scope

    def _found(self, scope: Scope, name: str) -> Switch | None:
        path = self._path(scope, name)
        try:
            facts = path.lstat()
        except FileNotFoundError:
            return None
        plain = Switch(scope=scope, name=name, by=_owner(facts), at=datetime.fromtimestamp(facts.st_mtime, UTC))
        return read_switch(scope, name, _content(path), plain)


def _content(path: Path) -> bytes:
    """What the file says; nothing where it cannot be read, or is no plain file."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.read(descriptor, MOST_BYTES) if stat.S_ISREG(os.fstat(descriptor).st_mode) else b""
    finally:
        os.close(descriptor)


def _owner(facts: os.stat_result) -> str:
    try:
        return pwd.getpwuid(facts.st_uid).pw_name
    except KeyError:
        return str(facts.st_uid)


def _failed(path: Path, error: OSError) -> StoreFailed:
    return StoreFailed(
        f"the stop switches in {path} cannot be used: {error.strerror or error}",
        fix="give this user the folder back, see docs/agents/guard.md; agents stay stopped until then",
    )
