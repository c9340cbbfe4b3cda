"""What a sandbox is: where a program of an agent runs, what it may use up, and what came of it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, Protocol

from pydantic import Field

from blocks.model import Frozen

Level = Literal["bubblewrap", "restricted"]
"""How much keeps a program in: `bubblewrap` is a boundary, `restricted` is none."""

MIB = 1 << 20


class SandboxLimits(Frozen):
    """What one run may use.

    Attributes:
        memory_bytes: Address space of each process; and, where cgroups (version 2) may be made, memory of all together.
            Node.js, Java and some Go programs reserve far more than they use, and need several GiB here.
        cpu_s: Seconds of processor time of each process.
        file_bytes: Size of any one file.
        added_bytes: What the run may add to the workspace; one that passes it is killed.
        tmp_bytes: Size of /tmp; it lies in memory.
        processes: Processes and threads at once.
        open_files: Open files of each process.
        wall_s: Seconds the run may take; what is left of it then is killed.
        output_bytes: What is kept of each of the two streams, of its beginning and its end.
    """

    memory_bytes: int = Field(default=1024 * MIB, ge=32 * MIB)
    cpu_s: int = Field(default=60, ge=1)
    file_bytes: int = Field(default=256 * MIB, ge=0)
    added_bytes: int = Field(default=1024 * MIB, ge=0)
    tmp_bytes: int = Field(default=64 * MIB, ge=4096)
    processes: int = Field(default=64, ge=1)
    open_files: int = Field(default=256, ge=16)
    wall_s: float = Field(default=60, gt=0, allow_inf_nan=False)
    output_bytes: int = Field(default=MIB, ge=0)


UNTOLD = SandboxLimits()
"""What a run may use where nothing else is said."""


class Completed(Frozen):
    """What came of a run.

    Attributes:
        exit_code: As shells give it: 128 and the signal's number where a signal ended it; 126 and 127 where the program
            could not be started or was not found.
        stdout, stderr: What it wrote, at most `output_bytes` of each; bytes that are no UTF-8 are replaced.
        timed_out: Whether it was killed for the time it took.
        truncated: Whether something of the output was left out.
        killed: Why we killed it, in words; None where we did not.
        sandbox: Name of the sandbox it ran in.
    """

    exit_code: int
    stdout: str
    stderr: str
    timed_out: bool = False
    truncated: bool = False
    killed: str | None = None
    sandbox: str


class Sandbox(Protocol):
    """A place to run programs in."""

    @property
    def name(self) -> Level:
        """Which it is."""
        ...

    async def run(
        self,
        argv: Sequence[str],
        *,
        workspace: Path,
        limits: SandboxLimits = UNTOLD,
        stdin: bytes = b"",
        env: Mapping[str, str] = ...,
        writable: bool = True,
    ) -> Completed:
        """Run a program to its end; nothing of it is left when this returns, raises or is cancelled.

        Args:
            argv: The program and its arguments; no shell reads them.
            workspace: The folder it works in.
            limits: What it may use.
            stdin: What it may read.
            env: Added to the few variables it is given; nothing of our own environment is.
            writable: Whether it may write into the workspace.

        Raises:
            BadInput: arguments or environment that no program could be given.
            NotAllowed: a program that this sandbox does not run.
            NotFound: there is no such workspace.
            Unsupported: this sandbox cannot do what was asked.
            EngineFailed: the sandbox itself did not come up.
        """
        ...
