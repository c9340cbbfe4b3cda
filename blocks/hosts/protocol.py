"""What a host is: a machine on which programs run and files lie."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from blocks.errors import EngineFailed, EngineUnavailable
from blocks.model import Frozen

COMMAND_S = 600.0
OUTPUT_BYTES = 1_000_000
FILE_BYTES = 16_000_000


class HostUnreachable(EngineUnavailable):
    """A host does not answer, or does not let us in; nothing was run."""

    code = "HOST_UNREACHABLE"
    transient = True


class CommandResult(Frozen):
    """What came of a command.

    Attributes:
        argv: The program and its arguments.
        exit_code: As shells give it: 128 and the signal's number where a signal ended it, 127 where there is no such
            program.
        stdout, stderr: What it wrote, at most `OUTPUT_BYTES` of each from its end; what is no UTF-8 is replaced.
        truncated: Whether something of it was left out.
        timed_out: Whether it was killed for the time it took.
        took_s: Seconds.
    """

    argv: tuple[str, ...]
    exit_code: int
    stdout: str = ""
    stderr: str = ""
    truncated: bool = False
    timed_out: bool = False
    took_s: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether it ended well."""
        return self.exit_code == 0 and not self.timed_out

    def checked(self) -> "CommandResult":
        """Itself, if it ended well.

        Raises:
            EngineFailed: it did not, with the end of what it wrote.
        """
        if self.ok:
            return self
        how = "was killed for the time it took" if self.timed_out else f"ended with {self.exit_code}"
        said = (self.stderr.strip() or self.stdout.strip())[-500:]
        raise EngineFailed(
            f"{self.argv[0]} {how}{': ' if said else ''}{said}",
            fix="run it by hand on the host to see why",
            argv=list(self.argv),
            exit_code=self.exit_code,
        )


class Host(Protocol):
    """A machine; commands are lists of words, and no shell takes part."""

    @property
    def name(self) -> str:
        """As the inventory calls it."""
        ...

    async def run(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        env: Mapping[str, str] = {},
        cwd: str | None = None,
        timeout_s: float = COMMAND_S,
        become: bool = False,
    ) -> CommandResult:
        """Run a program and wait for it; one that is cut off or cancelled is killed with its children.

        Args:
            argv: The program and its arguments.
            stdin: What it reads.
            env: Variables beside PATH, HOME and LANG, which are all it gets.
            cwd: The folder it runs in.
            timeout_s: Seconds after which it is killed.
            become: Whether it runs as root, by `sudo -n`; without effect for root.

        Raises:
            BadInput: the command is empty, or has a character that none may have.
            HostUnreachable: nothing was run.
            EngineUnavailable: the connection broke while it ran; whether it ran to its end is not known.
        """
        ...

    async def read_file(self, path: str, *, most_bytes: int = FILE_BYTES) -> bytes:
        """A file. Raises `NotFound`, `TooLarge`, `NotAllowed`, `HostUnreachable`."""
        ...

    async def write_file(self, path: str, content: bytes, *, mode: int = 0o644) -> None:
        """Put a file in place, whole or not at all. Raises `NotFound`, `NotAllowed`, `HostUnreachable`."""
        ...
