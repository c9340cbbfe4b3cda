"""How something is put right, and how that is taken back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from blocks.action import Touched
from blocks.errors import Conflict
from blocks.hosts import CommandResult, Host
from blocks.model import Frozen
from tasks.ops.drift.found import Found

COMMAND_S = 1800.0


class Command(Frozen):
    """A command on a host.

    Attributes:
        argv: The program and its arguments.
        stdin: What it reads.
    """

    argv: tuple[str, ...]
    stdin: str = ""


class Undo(Frozen):
    """How a correction is taken back.

    Attributes:
        commands: In this order.
        path, sha256: A file that must have this content still, or that of before: else somebody changed it since.
        before_sha256: Of what was there before.
    """

    commands: tuple[Command, ...]
    path: str | None = None
    sha256: str | None = None
    before_sha256: str | None = None


@dataclass(frozen=True)
class On:
    """A host that is looked at.

    Attributes:
        host: The host.
        become: Whether as root.
        keep: Folder there for what was before.
    """

    host: Host
    become: bool
    keep: str

    async def look(self, *argv: str, timeout_s: float = 120, **more: Any) -> CommandResult:
        """Run a command that changes nothing. Raises `EngineUnavailable`."""
        env: Mapping[str, str] = {"LC_ALL": "C", **more.pop("env", {})}
        return await self.host.run(argv, env=env, timeout_s=timeout_s, become=self.become, **more)

    async def run(self, command: Command) -> CommandResult:
        """Run a command that must end well. Raises `EngineFailed`, `EngineUnavailable`."""
        stdin = command.stdin.encode("utf-8", "surrogateescape")
        done = await self.host.run(command.argv, stdin=stdin, timeout_s=COMMAND_S, become=self.become)
        return done.checked()


class Change(Protocol):
    """Puts one thing right."""

    @property
    def says(self) -> str:
        """What it does, in a line for people."""
        ...

    @property
    def tool(self) -> str:
        """What kind of deed it is."""
        ...

    @property
    def arguments(self) -> dict[str, Any]:
        """Exactly what is done, JSON; without contents, which may be secrets, but with their hashes."""
        ...

    @property
    def touched(self) -> Touched:
        """What it reaches."""
        ...

    async def keep(self, on: On) -> Undo:
        """Keep what is there; how it is had back."""
        ...

    async def apply(self, on: On) -> None:
        """Put it right; doing it twice is as doing it once.

        Raises:
            Conflict: it is not as it was when it was looked at.
            EngineFailed, EngineUnavailable: it could not be done.
        """
        ...


@dataclass(frozen=True)
class Commands:
    """Puts something right by commands.

    Attributes:
        says: What it does.
        commands: In this order.
        undo: What takes it back.
        hashes: Of what the commands read, for the deed's arguments.
    """

    says: str
    commands: Sequence[Command]
    undo: Sequence[Command]
    hashes: Sequence[str] = field(default=())
    tool: str = "run_on_host"

    @property
    def arguments(self) -> dict[str, Any]:
        """See `Change`."""
        return {"commands": [list(one.argv) for one in self.commands], "stdin_sha256": list(self.hashes)}

    @property
    def touched(self) -> Touched:
        """See `Change`."""
        return Touched(argv=self.commands[0].argv)

    async def keep(self, on: On) -> Undo:
        """See `Change`."""
        return Undo(commands=tuple(self.undo))

    async def apply(self, on: On) -> None:
        """See `Change`."""
        for command in self.commands:
            await on.run(command)


@dataclass(frozen=True)
class Seen:
    """What was found, and how it could be put right; None: not by us."""

    found: Found
    change: Change | None = None


def changed_since(what: str) -> Conflict:
    """The error where somebody was faster."""
    return Conflict(f"{what} was changed since it was looked at", fix="look again, and decide anew")
